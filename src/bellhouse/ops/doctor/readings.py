"""What metrics and answers of the API say, as facts."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from bellhouse.ops.doctor.facts import (
    BreakerFacts,
    DependencyFacts,
    Facts,
    Group,
    LaneFacts,
    LeverFacts,
    PendingFacts,
    ProcessFacts,
    ProviderFacts,
)
from bellhouse.ops.doctor.samples import Reading

_BREAKER: Final = {0.0: "closed", 1.0: "open", 2.0: "half_open"}
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_PROVIDERS_FAULT: Final = ("dead_lettered:account_fault", "dead_lettered:attempts_exhausted")
_OVER_S: Final = 10.0
_CURRENT_S: Final = 60.0
_FEW: Final = 3
"""Calls within the window below which the store's newest rows say more."""


def facts_of_metrics(reading: Reading, at: float) -> Facts:
    """The facts that metrics alone give; `at` is now, in seconds since the epoch."""
    checked_at = reading.gauge("ledger_checked_timestamp_seconds")
    return Facts(
        at=at,
        window_s=reading.window_s,
        restarts_s=reading.restarts_s,
        metrics=bool(reading.values),
        providers=tuple(_providers(reading)),
        breakers=tuple(
            BreakerFacts(labels.get("provider", ""), labels.get("channel", ""), _BREAKER.get(value, "open"))
            for labels, value in reading.gauges("circuit_breaker_state")
        ),
        processes=tuple(_processes(reading, at)),
        dependencies=tuple(
            DependencyFacts(labels.get("dependency", ""), value > 0, labels.get("role", ""))
            for labels, value in reading.gauges("dependency_up")
        ),
        lanes=tuple(_lanes(reading)),
        pending=tuple(
            PendingFacts(labels.get("stage", ""), labels.get("priority", ""), value)
            for labels, value in reading.gauges("oldest_pending_seconds")
        ),
        sent=reading.sums("notifications_sent_total", "channel"),
        routed=reading.sums("notifications_routed_total", "priority"),
        received=reading.sums("notifications_received_total", "priority"),
        rejected=reading.sums("notifications_rejected_total", "reason"),
        letters_grown=reading.sums("dead_letters_total", "reason"),
        unreadable=reading.sums("unreadable_records_total", "topic"),
        letters_open={labels.get("channel", ""): value for labels, value in reading.gauges("dead_letters") if value},
        imbalance=reading.gauge("ledger_imbalance") or 0.0,
        ledger_age_s=None if checked_at is None else max(0.0, at - checked_at),
        gauge_ages=_ages(reading, at),
        partitions_ahead_days=reading.gauge("store_partitions_ahead_days"),
        probes=reading.sums("probe_results_total", "channel", "outcome"),
    )


def _providers(reading: Reading) -> Iterable[ProviderFacts]:
    verdicts = _by_provider(reading, "provider_verdicts_total", "verdict")
    codes = _by_provider(reading, "provider_requests_total", "status_code")
    statuses = _by_provider(reading, "notifications_sent_total", "status")
    callbacks = _by_provider(reading, "callbacks_total", "outcome")
    silences, balances, lows = (
        {labels.get("provider", ""): value for labels, value in reading.gauges(name)}
        for name in ("provider_silence_seconds", "provider_balance", "provider_balance_low")
    )
    known = {labels.get("provider", "") for labels, _ in reading.gauges("circuit_breaker_state")}
    for name in sorted(known | set(verdicts) | set(statuses) | set(silences) | set(balances)):
        yield ProviderFacts(
            name,
            verdicts.get(name, {}),
            codes.get(name, {}),
            statuses.get(name, {}),
            reading.quantile("provider_latency_seconds", 0.95, provider=name),
            callbacks=callbacks.get(name, {}).get("applied", 0.0),
            silence_s=silences.get(name, 0.0),
            balance=balances.get(name),
            balance_low=lows.get(name),
        )


def _by_provider(reading: Reading, name: str, label: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for labels, value in reading.grown(name):
        words = found.setdefault(labels.get("provider", ""), {})
        words[labels.get(label, "")] = words.get(labels.get(label, ""), 0.0) + value
    return found


def _processes(reading: Reading, at: float) -> Iterable[ProcessFacts]:
    """One for each role and, with several targets, each instance of it."""
    places: dict[tuple[str, str], dict[str, float]] = {}
    for name in (
        "process_started_timestamp_seconds", "process_seen_timestamp_seconds", "ingest_degraded_step",
        "clock_skew_seconds", "disk_free_bytes", "disk_size_bytes",
    ):  # fmt: skip
        for labels, value in reading.gauges(name):
            place = labels.get("role", ""), labels.get("instance", "")
            places.setdefault(place, {})[name] = value
    before = {
        (dict(key[1]).get("role", ""), dict(key[1]).get("instance", "")): value
        for key, value in reading.before.items()
        if key[0] == "process_started_timestamp_seconds"
    }
    changes = {
        (labels.get("role", ""), labels.get("instance", "")): value
        for labels, value in reading.grown("process_restarts")
    }
    for (role, instance), said in sorted(places.items()):
        began, seen = said.get("process_started_timestamp_seconds"), said.get("process_seen_timestamp_seconds")
        anew = began is not None and before.get((role, instance), began) != began
        yield ProcessFacts(
            f"{role} at {instance}" if instance else role,
            None if seen is None else max(0.0, at - seen),
            None if began is None else max(0.0, at - began),
            max(float(anew), changes.get((role, instance), 0.0)),
            step=int(said.get("ingest_degraded_step", 0)),
            skew_s=said.get("clock_skew_seconds"),
            disk_free=said.get("disk_free_bytes"),
            disk_size=said.get("disk_size_bytes"),
        )


def _lanes(reading: Reading) -> Iterable[LaneFacts]:
    lags: dict[str, float] = {}
    before: dict[str, float] = {}
    for labels, value in reading.gauges("kafka_consumer_lag"):
        topic = labels.get("topic", "")
        lags[topic] = lags.get(topic, 0.0) + value
    for key, value in reading.before.items():
        if key[0] == "kafka_consumer_lag":
            topic = dict(key[1]).get("topic", "")
            before[topic] = before.get(topic, 0.0) + value
    return (LaneFacts(topic, lag, before.get(topic)) for topic, lag in sorted(lags.items()))


def _ages(reading: Reading, at: float) -> dict[str, float]:
    ages: dict[str, float] = {}
    for labels, value in reading.gauges("gauge_read_timestamp_seconds"):
        name = labels.get("gauge", "")
        ages[name] = min(max(0.0, at - value), ages.get(name, float("inf")))
    return ages


# --- the API ---


def breakers_of(answer: Any) -> tuple[BreakerFacts, ...]:
    """`GET /v1/breakers`."""
    return tuple(
        BreakerFacts(
            row["provider"],
            row["channel"],
            row["state"],
            row["forced"],
            row["failures"],
            row["changed_at"] or "",
            row.get("reason") or "",
        )
        for row in answer["breakers"]
    )


def groups_of(answer: Any, name: str) -> tuple[Group, ...]:
    """One list of `GET /v1/diagnosis`."""
    return tuple(msgspec.convert(row, Group) for row in answer[name])


def levers_of(answer: Any) -> tuple[LeverFacts, ...]:
    """`GET /v1/levers`: what is pulled now. Fields that it does not have are empty."""
    return tuple(_lever(row) for row in answer.get("levers", ()))


def _lever(row: Mapping[str, Any]) -> LeverFacts:
    """A pause's scope is its selector, `channel=sms, tenant=acme`; a rate's is its provider."""
    kind, scope, value = str(row["kind"]), str(row["scope"]), str(row.get("value") or "")
    chosen = dict(part.split("=", 1) for part in scope.split(", ") if "=" in part)
    number = _NUMBER.match(value)
    return LeverFacts(
        kind,
        f"{kind.capitalize()} of {scope}{f' to {value}' if value else ''}",
        chosen.get("channel", ""),
        chosen.get("priority", ""),
        chosen.get("tenant", ""),
        chosen.get("type", ""),
        chosen.get("template", ""),
        chosen.get("campaign", ""),
        scope if kind == "rate" else "",
        float(number[0]) if kind == "rate" and number else None,
        str(row.get("by") or ""),
        str(row.get("why") or ""),
        str(row.get("at") or ""),
    )


def with_providers(facts: Facts, answer: Any) -> Facts:
    """The facts with what `GET /v1/providers` says."""
    pages = {row["name"]: row["status_page"] or "" for row in answer["providers"]}
    known = tuple(msgspec.structs.replace(one, status_page=pages.get(one.name, "")) for one in facts.providers)
    return msgspec.structs.replace(facts, providers=known)


def with_test(provider: ProviderFacts, answer: Any) -> ProviderFacts:
    """A provider with what `POST /v1/providers/{name}/test` says: the first trial that does not work."""
    bad = next((trial for trial in answer["trials"] if not trial["works"]), None)
    if bad is None:
        return msgspec.structs.replace(provider, tested="accepted", tested_words="it works")
    words = " ".join(str(bad[name]) for name in ("code", "said") if bad[name])
    return msgspec.structs.replace(provider, tested=bad["verdict"], tested_words=words)


def with_store(facts: Facts, answer: Any) -> Facts:
    """The facts with what `GET /v1/diagnosis` says of the newest rows; providers that were hardly called within the
    window are judged by it. What failed before a provider took messages again is over; of one that stands by only a
    throttle of this minute counts, since that is why it is not called."""
    attempts = groups_of(answer, "attempts")
    well_at = _well_at(attempts)
    now = _moment(answer.get("at", ""))
    for name, until in _quiet(facts, now - _CURRENT_S).items():
        well_at[name] = max(well_at.get(name, 0.0), until)
    attempts = tuple(one for one in attempts if not _over(one, well_at))
    known = {one.name: one for one in facts.providers}
    idle = set(_standing_by(facts))
    for name in {one.provider for one in attempts}:
        own = [one for one in attempts if one.provider == name]
        if name in idle:
            own = [one for one in own if one.verdict == "throttled" and 0 < now - _moment(one.last_at) < _CURRENT_S]
        if own:
            known[name] = _with_attempts(known.get(name, ProviderFacts(name)), own)
    return msgspec.structs.replace(
        facts,
        providers=tuple(known[name] for name in sorted(known)),
        attempts=attempts,
        failures=groups_of(answer, "failures"),
        waits=groups_of(answer, "waits"),
        arrivals=groups_of(answer, "arrivals"),
        letters=tuple(
            one for one in groups_of(answer, "letters") if one.reason not in _PROVIDERS_FAULT or not _over(one, well_at)
        ),
        undecidable=answer["undecidable"],
    )


def _standing_by(facts: Facts) -> Iterable[str]:
    """Providers that could be used, while others carry all of their channels."""
    busy = {one.name for one in facts.providers if one.calls >= _FEW}
    for name in {one.provider for one in facts.breakers} - busy:
        own = [one for one in facts.breakers if one.provider == name]
        carried = {one.channel for one in facts.breakers if one.provider in busy}
        if all(one.state == "closed" and one.forced == "none" and one.channel in carried for one in own):
            yield name


def _well_at(attempts: Iterable[Group]) -> dict[str, float]:
    """When each provider last took a message (s)."""
    found: dict[str, float] = {}
    for one in attempts:
        if one.verdict == "accepted":
            found[one.provider] = max(found.get(one.provider, 0.0), _moment(one.last_at))
    return found


def _quiet(facts: Facts, until: float) -> dict[str, float]:
    """Providers whose breakers are closed have no fault that nobody has met of late."""
    away = {one.provider for one in facts.breakers if one.state != "closed"}
    return {one.provider: until for one in facts.breakers if one.provider not in away}


def _over(group: Group, well_at: Mapping[str, float]) -> bool:
    """Whether the last of a group came so long before its provider was well that both cannot be true at once."""
    return group.verdict != "accepted" and _moment(group.last_at) + _OVER_S < well_at.get(group.provider, 0.0)


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _with_attempts(provider: ProviderFacts, groups: Iterable[Group]) -> ProviderFacts:
    verdicts: dict[str, float] = {}
    codes: dict[str, float] = {}
    slowest = 0.0
    for one in groups:
        verdicts[one.verdict] = verdicts.get(one.verdict, 0.0) + one.count
        word = one.code or one.verdict
        codes[word] = codes.get(word, 0.0) + one.count
        slowest = max(slowest, one.worst_ms / 1000)
    if provider.calls >= _FEW:
        return msgspec.structs.replace(provider, slowest_s=slowest)
    return msgspec.structs.replace(provider, verdicts=verdicts, codes=codes, slowest_s=slowest)


def with_ledger(facts: Facts, answer: Any) -> Facts:
    """The facts with what `GET /v1/ledger` says."""
    broken = tuple(
        f"{check['name']}: {check['left']:,} on one side, {check['right']:,} on the other."
        for check in answer["checks"]
        if not check["holds"]
    )
    return msgspec.structs.replace(facts, imbalance=max(facts.imbalance, answer["imbalance"]), broken_checks=broken)
