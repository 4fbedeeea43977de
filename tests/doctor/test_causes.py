"""Each cause is named first where it is the true one, with noise beside it."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellhouse.ops.doctor.causes import NAMES
from bellhouse.ops.doctor.diagnose import EXPLAINS, Diagnosis, diagnose
from bellhouse.ops.doctor.facts import (
    BreakerFacts,
    DependencyFacts,
    Facts,
    Group,
    LaneFacts,
    LeverFacts,
    LogFacts,
    PendingFacts,
    ProcessFacts,
    ProviderFacts,
    ServerFacts,
)
from bellhouse.ops.doctor.slugs import FIRST

replace = msgspec.structs.replace

CLOSED = (
    BreakerFacts("fcm", "push"),
    BreakerFacts("sendgrid", "email"),
    BreakerFacts("smtp", "email"),
    BreakerFacts("twilio", "sms"),
    BreakerFacts("vonage", "sms"),
)


def well(name: str, calls: float = 200.0) -> ProviderFacts:
    return ProviderFacts(name, {"accepted": calls}, {"200": calls}, {"success": calls}, 0.2, 0.4, calls)


HEALTHY = Facts(
    at=1_000_000.0,
    window_s=5.0,
    metrics=True,
    server=ServerFacts(True, "http://house", True, "", True, {"store": "", "accepting": "open", "bulk": ""}),
    providers=tuple(well(name) for name in ("fcm", "sendgrid", "smtp", "twilio", "vonage")),
    breakers=CLOSED,
    processes=(
        ProcessFacts("api", 0.5, 90_000.0, 0.0, True, 0, 0.01, 50e9, 100e9),
        ProcessFacts("bulk", 0.5, 90_000.0, 0.0, True, 0, 0.01, 50e9, 100e9),
    ),
    dependencies=tuple(DependencyFacts(name, True, "api") for name in ("store", "log", "cache")),
    lanes=(
        LaneFacts("notifications.normal", 3, 4),
        LaneFacts("deliveries.push.normal", 20, 25),
        LaneFacts("deliveries.email.low", 40, 60),
    ),
    pending=tuple(PendingFacts("deliver", p, 0.3) for p in ("critical", "high", "normal", "low")),
    sent={"push": 200.0, "email": 300.0, "sms": 50.0},
    routed={"critical": 5.0, "normal": 400.0, "low": 100.0},
    received={"critical": 5.0, "normal": 400.0, "low": 100.0},
    attempts=(Group(400, provider="fcm", verdict="accepted", code="200"),),
    arrivals=(
        Group(300, tenant="acme/live", type="order", priority="high"),
        Group(280, tenant="globex/live", type="news", priority="normal"),
        Group(400, tenant="initech/live", type="promo", priority="low"),
    ),
    gauge_ages={"lags": 2.0, "breakers": 2.0, "ledger": 2.0},
    ledger_age_s=2.0,
    partitions_ahead_days=7.0,
    folder_free=50e9,
    folder_size=100e9,
    log=LogFacts(500, {"Circuit breaker state changed": 1}),
)
"""A busy house in which nothing is wrong."""


def with_provider(facts: Facts, name: str, **words: object) -> Facts:
    changed = tuple(replace(one, **words) if one.name == name else one for one in facts.providers)
    return replace(facts, providers=changed)


def with_breaker(facts: Facts, provider: str, state: str, forced: str = "none") -> Facts:
    rows = tuple(
        replace(one, state=state, forced=forced, failures=5) if one.provider == provider else one
        for one in facts.breakers
    )
    return replace(facts, breakers=rows)


def with_process(facts: Facts, role: str, **words: object) -> Facts:
    changed = tuple(replace(one, **words) if one.role == role else one for one in facts.processes)
    return replace(facts, processes=changed)


def noisy(facts: Facts) -> Facts:
    """With what is about in any house: a few open letters, a transient error, a small campaign."""
    lanes = (*facts.lanes, LaneFacts("deliveries.push.low", 1_500, 2_500))
    facts = replace(facts, lanes=lanes, letters_open={**facts.letters_open, "email": 2.0})
    vonage = facts.provider("vonage")
    if set(vonage.verdicts) == {"accepted"}:
        facts = with_provider(facts, "vonage", verdicts={"accepted": 195.0, "retry": 4.0, "token_invalid": 1.0})
    return facts


def failing(verdict: str, code: str, count: float = 60.0, accepted: float = 0.0) -> dict[str, object]:
    return {
        "verdicts": {verdict: count, "accepted": accepted},
        "codes": {code: count, "202": accepted},
        "statuses": {"failed": count, "success": accepted},
        "callbacks": accepted,
    }


DOWN = with_breaker(with_provider(HEALTHY, "sendgrid", **failing("retry", "503")), "sendgrid", "open")
SILENT = replace(
    with_provider(HEALTHY, "twilio", silence_s=40.0, callbacks=0.0),
    breakers=(*CLOSED[:3], BreakerFacts("twilio", "sms", "open", reason="silent"), CLOSED[4]),
)
BACKLOG = (
    LaneFacts("deliveries.push.normal", 4_000, 3_500),
    LaneFacts("notifications.normal", 900, 800),
)
LATE = (PendingFacts("deliver", "normal", 700.0), PendingFacts("route", "normal", 600.0))

CASES: dict[str, tuple[str, Facts]] = {
    "provider outage": ("ProviderOutage", DOWN),
    "provider outage, no calls within the window": (
        "ProviderOutage",
        with_breaker(with_provider(HEALTHY, "sendgrid", verdicts={}, codes={}, statuses={}), "sendgrid", "half_open"),
    ),
    "all providers of a channel": (
        "AllProvidersDown",
        with_breaker(with_provider(DOWN, "smtp", **failing("retry", "connect")), "smtp", "open"),
    ),
    "throttling": (
        "ProviderThrottling",
        with_provider(HEALTHY, "twilio", **failing("throttled", "429 20429", 80.0, 40.0)),
    ),
    "dead tokens": (
        "DeadTokens",
        with_provider(HEALTHY, "fcm", **failing("token_invalid", "404 UNREGISTERED", 60.0, 140.0)),
    ),
    "slow provider": ("SlowProvider", with_provider(HEALTHY, "sendgrid", p95_s=6.5, slowest_s=8.0)),
    "silent provider": ("SilentProvider", with_provider(HEALTHY, "twilio", silence_s=200.0, callbacks=0.0)),
    "silent provider whose breaker has opened": (
        "SilentProvider",
        SILENT,
    ),
    "credential": ("CredentialExpired", with_provider(HEALTHY, "sendgrid", **failing("account_fault", "401"))),
    "credential of the only provider": (
        "CredentialExpired",
        with_breaker(with_provider(HEALTHY, "fcm", **failing("account_fault", "401")), "fcm", "open"),
    ),
    "balance zero": (
        "BalanceZero",
        with_provider(HEALTHY, "vonage", balance=0.0, **failing("account_fault", "200 9")),
    ),
    "balance zero, by its code alone": (
        "BalanceZero",
        with_provider(HEALTHY, "vonage", **failing("account_fault", "200 9")),
    ),
    "forced breaker": ("BreakerForced", with_breaker(HEALTHY, "fcm", "open", "open")),
    "forced breaker beside another": ("BreakerForced", with_breaker(HEALTHY, "sendgrid", "open", "open")),
    "campaign": (
        "CampaignBacklog",
        replace(
            HEALTHY,
            lanes=(*HEALTHY.lanes, LaneFacts("deliveries.email.low", 400_000, 420_000)),
            pending=(*HEALTHY.pending, PendingFacts("deliver", "low", 2_000.0)),
        ),
    ),
    "stuck worker": (
        "StuckWorker",
        replace(HEALTHY, lanes=BACKLOG, pending=LATE, sent={}, routed={}, arrivals=()),
    ),
    "hung process": ("StuckWorker", with_process(HEALTHY, "bulk", seen_s=45.0, alive=True)),
    "crash loop": ("CrashLoop", with_process(HEALTHY, "bulk", age_s=3.0, restarts=1.0)),
    "crash loop, seen by its age": ("CrashLoop", with_process(HEALTHY, "bulk", age_s=9.0)),
    "crash loop, by the log": (
        "CrashLoop",
        replace(HEALTHY, log=LogFacts(90, {"Role bulk ended with status 1; it is started again after 2 s": 6})),
    ),
    "process missing": ("ProcessMissing", with_process(HEALTHY, "bulk", seen_s=45.0, alive=False)),
    "target missing": ("ProcessMissing", replace(HEALTHY, dead_targets=("http://push-worker-3:9464",))),
    "poisoned record": (
        "PoisonedRecord",
        replace(HEALTHY, log=LogFacts(90, {"Unreadable record skipped": 2}, {"Unreadable record skipped": "topic x"})),
    ),
    "undecidable": ("PoisonedRecord", replace(HEALTHY, undecidable=2)),
    "bad template": (
        "BadTemplateVersion",
        replace(
            HEALTHY,
            letters=(
                Group(40, reason="dead_lettered:not_rendered", template="words", template_version=7, type="order"),
            ),
            letters_grown={"dead_lettered:not_rendered": 12.0},
            letters_open={"push": 40.0},
        ),
    ),
    "dead letters": (
        "DeadLettersGrowing",
        replace(
            HEALTHY,
            letters=(Group(60, reason="dead_lettered:attempts_exhausted", provider="smtp", channel="email"),),
            letters_grown={"dead_lettered:attempts_exhausted": 30.0},
            letters_open={"email": 900.0},
        ),
    ),
    "kafka": ("KafkaDown", replace(HEALTHY, dependencies=(DependencyFacts("log", False, "router"),))),
    "kafka, by its check": (
        "KafkaDown",
        replace(HEALTHY, server=replace(HEALTHY.server, checks={"store": "", "log": "no broker answers"})),
    ),
    "database": (
        "DatabaseDown",
        replace(
            HEALTHY,
            server=replace(HEALTHY.server, ready=False, checks={"store": "refused: is it up?"}, failed=("store",)),
        ),
    ),
    "redis": ("RedisLost", replace(HEALTHY, dependencies=(DependencyFacts("cache", False, "worker"),))),
    "disk": ("DiskFilling", with_process(HEALTHY, "api", disk_free=2e9)),
    "disk full": (
        "DiskFilling",
        replace(
            HEALTHY,
            server=replace(HEALTHY.server, ready=False, checks={"store": "disk_full: free some"}, failed=("store",)),
            processes=tuple(replace(one, step=4) for one in HEALTHY.processes),
        ),
    ),
    "clock": ("ClockSkew", with_process(HEALTHY, "bulk", skew_s=-45.0)),
    "hot tenant": (
        "HotTenant",
        replace(
            HEALTHY,
            arrivals=(
                Group(1_700, tenant="globex/live", type="news", priority="normal"),
                Group(100, tenant="acme/live", type="order", priority="high"),
            ),
            waits=(Group(80, tenant="globex/live", reason="waiting:quota"),),
            lanes=(LaneFacts("deliveries.push.normal", 4_000, 3_500),),
        ),
    ),
    "paused": (
        "PausedByOperator",
        replace(
            HEALTHY,
            levers=(LeverFacts("pause", "Channel push is paused", channel="push", by="ada", why="a test"),),
            lanes=(LaneFacts("deliveries.push.normal", 4_000, 3_500),),
            pending=LATE,
            sent={"email": 300.0},
        ),
    ),
    "rate lever": (
        "RateLeverTooLow",
        replace(
            HEALTHY,
            levers=(LeverFacts("rate", "fcm sends at most 5 a second", provider="fcm", rate=5.0),),
            lanes=(LaneFacts("deliveries.push.normal", 4_000, 3_500),),
        ),
    ),
    "campaign beside a rate lever that holds nothing back": (
        "CampaignBacklog",
        replace(
            HEALTHY,
            levers=(LeverFacts("rate", "fcm sends at most 20,000 a second", provider="fcm", rate=20_000.0),),
            lanes=(LaneFacts("deliveries.push.low", 900_000, 880_000),),
            sent={"push": 20_000.0},
        ),
    ),
    "more comes than leaves": (
        "Overload",
        replace(HEALTHY, lanes=BACKLOG, pending=LATE),
    ),
    "a million urgent records that are not late yet": (
        "Overload",
        replace(HEALTHY, lanes=(LaneFacts("deliveries.push.normal", 1_200_000, 1_190_000),)),
    ),
    "campaign at the rate that a lever gives it": (
        "CampaignBacklog",
        replace(
            HEALTHY,
            levers=(LeverFacts("rate", "fcm sends at most 4,000 a second", provider="fcm", rate=4_000.0),),
            lanes=(LaneFacts("deliveries.push.low", 900_000, 880_000), LaneFacts("deliveries.push.high", 3)),
            sent={"push": 20_000.0},
        ),
    ),
    "degraded": (
        "DegradedStep",
        replace(
            HEALTHY,
            server=replace(HEALTHY.server, checks={"accepting": "no_normal: backlog: 800 of 1,000"}),
            processes=tuple(replace(one, step=2) for one in HEALTHY.processes),
        ),
    ),
    "ledger": ("LedgerImbalance", replace(HEALTHY, imbalance=3.0, broken_checks=("accepted: 5, 2.",))),
    "gauges": ("GaugesStale", replace(HEALTHY, gauge_ages={"lags": 900.0, "ledger": 900.0})),
    "partitions": ("PartitionsMissing", replace(HEALTHY, partitions_ahead_days=0.0)),
    "partitions, when the alert warns": ("PartitionsMissing", replace(HEALTHY, partitions_ahead_days=2.5)),
    "disk, when the alert warns": ("DiskFilling", with_process(HEALTHY, "api", disk_free=14e9)),
    "ledger that nobody has ever checked": ("GaugesStale", replace(HEALTHY, ledger_age_s=None)),
    "ledger that nobody has checked for long": ("GaugesStale", replace(HEALTHY, ledger_age_s=4_000.0)),
    "no answer": (
        "NotAccepting",
        Facts(server=ServerFacts(True, "http://house", False, "refused", supervisor_alive=False)),
    ),
}


def test_nothing_wrong_is_healthy() -> None:
    found = diagnose(HEALTHY)
    assert found.healthy
    assert [cause.name for cause in found.causes] == ["Healthy"]
    assert all(diagnose(HEALTHY, slug).healthy for slug in FIRST)


@pytest.mark.parametrize("case", CASES)
def test_the_true_cause_is_named_first(case: str) -> None:
    name, facts = CASES[case]
    for about in (facts, noisy(facts)) if facts.metrics else (facts,):
        found = diagnose(about)
        assert found.causes[0].name == name, [(one.name, one.score, one.evidence) for one in found.causes]
        assert found.causes[0].evidence
        assert found.causes[0].commands


@pytest.mark.parametrize("case", CASES)
def test_the_runbook_that_asks_after_it_names_it_first_too(case: str) -> None:
    name, facts = CASES[case]
    for slug, first in FIRST.items():
        if name in first:
            found = diagnose(facts, slug)
            assert found.causes[0].name == name, (slug, [(one.name, one.score) for one in found.causes])


def test_every_cause_is_some_case_and_some_runbook_asks_after_it() -> None:
    assert {name for name, _ in CASES.values()} | {"Healthy"} == set(NAMES)
    assert {name for first in FIRST.values() for name in first} | {"Healthy"} == set(NAMES)
    assert set(EXPLAINS) <= set(NAMES)


def test_what_another_cause_brings_along_is_told_below_it() -> None:
    found = diagnose(replace(DOWN, letters_grown={"dead_lettered:attempts_exhausted": 9.0}))
    beside = {cause.name: cause.explained_by for cause in found.causes[1:]}
    assert beside == {"DeadLettersGrowing": "ProviderOutage"}


def test_a_forced_breaker_that_holds_nothing_up_is_no_alarm() -> None:
    found = diagnose(with_breaker(HEALTHY, "sendgrid", "closed", "closed"))
    assert (found.causes[0].name, found.causes[0].confidence) == ("BreakerForced", "possible")


def test_a_backlog_that_stands_still_is_no_overload() -> None:
    names = [cause.name for cause in diagnose(CASES["stuck worker"][1]).causes]
    assert "Overload" not in names


def test_nothing_known_is_not_called_healthy() -> None:
    (cause,) = diagnose(Facts()).causes
    assert cause.summary == "Nothing could be asked."


# --- whatever is collected ---

_WORDS = st.sampled_from(("", "push", "email", "low", "normal", "fcm", "sendgrid", "acme/live", "open", "closed", "x"))
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e12)
_COUNTS = st.dictionaries(_WORDS, st.floats(0, 1e9), max_size=3)
_MAYBE = st.none() | _NUMBERS


def _some(struct: type, /, **fields: object) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.builds(struct, **fields), max_size=3).map(tuple)  # type: ignore[arg-type]


_FACTS = st.builds(
    Facts,
    at=_NUMBERS,
    window_s=st.floats(0, 600),
    metrics=st.booleans(),
    dead_targets=st.lists(_WORDS, max_size=2).map(tuple),
    server=st.builds(
        ServerFacts,
        asked=st.booleans(),
        answers=st.booleans(),
        ready=st.none() | st.booleans(),
        checks=st.dictionaries(st.sampled_from(("store", "log", "accepting", "bulk")), _WORDS),
        supervisor_alive=st.none() | st.booleans(),
    ),
    providers=_some(
        ProviderFacts, name=_WORDS, verdicts=_COUNTS, codes=_COUNTS, statuses=_COUNTS, p95_s=_MAYBE,
        slowest_s=_NUMBERS, callbacks=_NUMBERS, silence_s=_NUMBERS, balance=_MAYBE, balance_low=_MAYBE, tested=_WORDS,
    ),
    breakers=_some(
        BreakerFacts, provider=_WORDS, channel=_WORDS, state=st.sampled_from(("closed", "open", "half_open")),
        forced=st.sampled_from(("none", "open", "closed")), failures=st.integers(0, 9), changed_at=_WORDS,
    ),
    processes=_some(
        ProcessFacts, role=_WORDS, seen_s=_MAYBE, age_s=_MAYBE, restarts=_NUMBERS, alive=st.none() | st.booleans(),
        step=st.integers(0, 4), skew_s=_MAYBE, disk_free=_MAYBE, disk_size=_MAYBE,
    ),
    dependencies=_some(
        DependencyFacts, name=st.sampled_from(("store", "log", "cache", "?")), up=st.booleans(), role=_WORDS,
        words=_WORDS,
    ),
    lanes=_some(LaneFacts, topic=st.sampled_from(("notifications.low", "deliveries.push.normal", "odd")),
                lag=st.floats(0, 1e9), lag_before=st.none() | st.floats(0, 1e9)),
    pending=_some(PendingFacts, stage=_WORDS, priority=_WORDS, oldest_s=_NUMBERS),
    sent=_COUNTS,
    routed=_COUNTS,
    rejected=st.dictionaries(st.sampled_from(("rate_limited", "degraded")), st.floats(0, 1e6)),
    letters_grown=_COUNTS,
    letters_open=_COUNTS,
    levers=_some(LeverFacts, kind=st.sampled_from(("pause", "rate", "breaker", "?")), words=_WORDS, channel=_WORDS,
                 priority=_WORDS, tenant=_WORDS, type=_WORDS, provider=_WORDS, rate=st.none() | st.floats(0, 1e6)),
    failures=_some(Group, count=st.integers(1, 99), reason=st.sampled_from(("failed:permanent", "x")), template=_WORDS),
    waits=_some(Group, count=st.integers(1, 99), reason=st.sampled_from(("waiting:quota", "waiting:throttled"))),
    arrivals=_some(Group, count=st.integers(1, 9999), tenant=_WORDS, type=_WORDS, priority=_WORDS),
    letters=_some(
        Group, count=st.integers(1, 99), template=_WORDS, provider=_WORDS,
        reason=st.sampled_from(("dead_lettered:not_rendered", "dead_lettered:account_fault")),
    ),
    undecidable=st.integers(0, 3),
    imbalance=_NUMBERS,
    gauge_ages=_COUNTS,
    partitions_ahead_days=_MAYBE,
    folder_free=_MAYBE,
    folder_size=_MAYBE,
    log=st.none() | st.builds(LogFacts, lines=st.integers(0, 9), messages=st.dictionaries(_WORDS, st.integers(1, 9))),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_FACTS, st.none() | st.sampled_from(tuple(FIRST)))
def test_whatever_is_collected_there_is_a_ranked_answer(facts: Facts, slug: str | None) -> None:
    found: Diagnosis = diagnose(facts, slug)
    assert found.causes
    assert all(cause.name in NAMES and 0 <= cause.score <= 100 for cause in found.causes)
    nothing_wrong = len(found.causes) == 1 and found.causes[0].name == "Healthy"
    assert found.healthy == (nothing_wrong and (facts.metrics or facts.server.ready is not None))
    assert diagnose(facts, slug) == found
    for cause in found.causes:
        assert all(sentence.endswith((".", ":")) or ":" in sentence for sentence in cause.evidence), cause
        assert cause.commands
