"""Causes below the house: engines, disks, clocks, processes, and the exporter that tells of all this."""

from collections.abc import Iterator

from bellhouse.monitoring.thresholds import Thresholds
from bellhouse.ops.doctor.causes import Cause, CauseName, span
from bellhouse.ops.doctor.facts import DependencyFacts, Facts

_SEEN_S = 10.0
_YOUNG_S = 60.0
_APART_S = 5.0
"""Processes that were started together begin so close to one another."""
_ONCE = 60.0
_SKEW_S = 2.0
_PROMISED = Thresholds()
"""What the alerts compare with: where one fires, its cause must be found."""
_STALE_S = 60.0
_FULL = ("disk_full", "no space", "disk:", "disk is", "free bytes")

_ENGINES: dict[str, tuple[CauseName, float, str, tuple[str, ...]]] = {
    "store": (
        "DatabaseDown",
        95,
        "The store does not answer: nothing is accepted, and nothing that is in hand can be written down.",
        ("bellhouse config check --connect", "bellhouse doctor disk-filling"),
    ),
    "log": (
        "KafkaDown",
        93,
        "The log does not answer: what is accepted waits in the outbox, and nothing is routed or delivered.",
        ("bellhouse config check --connect", "bellhouse topics"),
    ),
    "cache": (
        "RedisLost",
        72,
        "The cache does not answer: every process goes on with breakers and shares of its own, slower, never wrong.",
        ("redis-cli PING", "kubectl get pod redis-0", "kubectl rollout restart statefulset/redis"),
    ),
}


def not_accepting(facts: Facts) -> Iterator[Cause]:
    """The server does not answer, or answers nobody."""
    server = facts.server
    if not server.asked or server.answers:
        return
    evidence = [f"{server.url or 'The server'} does not answer: {server.error or 'nothing listens'}."]
    if server.supervisor_alive is False:
        evidence.append("Nothing serves the data folder: the supervisor has ended.")
    elif server.supervisor_alive:
        evidence.append("The supervisor of the data folder lives, so a process of it is starting or hangs.")
    evidence += _last_words(facts)
    yield Cause(
        "NotAccepting",
        99,
        "The API does not answer: nothing is accepted.",
        tuple(evidence),
        (
            "bellhouse config check --connect",
            "kubectl get deployment/notification-api",
            "kubectl logs deployment/notification-api --tail=100",
            "kubectl rollout undo deployment/notification-api",
        ),
    )


def engines(facts: Facts) -> Iterator[Cause]:
    """Store, log or cache is down, by whoever tells it."""
    for name, (cause, score, summary, commands) in _ENGINES.items():
        evidence = [_dependency_words(one) for one in facts.dependencies if one.name == name and not one.up]
        if name == "cache":
            waits = _logged(facts, "Breakers wait", "cache")
        else:
            waits = _logged(facts, f"for the {name}", f"waits for the {name}")
        detail = facts.server.checks.get(name, "")
        if detail and not any(full in detail.lower() for full in _FULL):
            evidence.append(f"/readyz says of {name}: {detail}")
        if not evidence and not waits:
            continue
        yield Cause(
            cause,
            score if evidence else score - 35,
            summary,
            (*evidence, *waits),
            commands,
        )


def disk(facts: Facts) -> Iterator[Cause]:
    """A volume has little left, or none."""
    evidence, worst = [], 1.0
    for where, free, size in _volumes(facts):
        left = free / size if size else 1.0
        if left < _PROMISED.disk_share:
            worst = min(worst, left)
            evidence.append(f"{where}: {free / 1e9:.2f} GB of {size / 1e9:.2f} GB are free, {left * 100:.1f} %.")
    for name, detail in facts.server.checks.items():
        if any(full in detail.lower() for full in _FULL):
            worst = 0.0
            evidence.append(f"/readyz says of {name}: {detail}")
    if facts.log is not None:
        for message, words in facts.log.details.items():
            if "disk_full" in words or "no space" in words.lower():
                worst = 0.0
                evidence.append(f'The log says "{message}": {words}')
    if not evidence:
        return
    yield Cause(
        "DiskFilling",
        97 if worst <= 0.0 else 78 + 15 * (1 - worst / _PROMISED.disk_share),
        "The disk fills; when it is full callers get 503, nothing is half-written, and service resumes by itself.",
        tuple(evidence),
        ("df -h", 'du -xsh -- "$BELLHOUSE_DATA"', 'bellhouse pause --priority low --why "the disk fills"'),
    )


def processes(facts: Facts) -> Iterator[Cause]:
    """A role that starts again and again, or that is not there."""
    oldest = max((one.age_s or 0.0 for one in facts.processes), default=0.0)
    crashing = set[str]()
    # Within some seconds one start is as good as seen; within a quarter of an hour one is a deploy.
    least = 1 if facts.restarts_s <= _YOUNG_S else 2
    for one in facts.processes:
        words = []
        if one.restarts >= least:
            words.append(f"Role {one.role} was started {one.restarts:.0f} times within {span(facts.restarts_s)}.")
        if one.age_s is not None and one.age_s < _YOUNG_S and oldest - one.age_s > _APART_S:
            words.append(f"Role {one.role} began {span(one.age_s)} ago, the oldest process {span(oldest)} ago.")
        if words:
            crashing.add(one.role)
            told = _logged(facts, "is started again", "crashed")
            told += [f"/readyz says of {one.role}: {said}"] if (said := facts.server.checks.get(one.role)) else []
            # One that is young, with nothing else to show for it, may as well be a deploy.
            score = 84 + 6 * (len(words) + len(told) > 1) if one.restarts >= least or told else _ONCE
            yield _crash(one.role, score, [*words, *told])
        silent = one.seen_s is not None and one.seen_s > _SEEN_S
        if silent and one.alive is not True and not words:
            seen = f"Role {one.role} last showed its figures {span(one.seen_s or 0)} ago."
            gone = " Its process does not exist." if one.alive is False else ""
            yield _missing(one.role, 88 if one.alive is False else 80, (seen + gone,))
    if not facts.processes or all(one.restarts < least for one in facts.processes):
        again = _restarts_logged(facts)
        if again:
            yield _crash("", 80, again)
    for target in facts.dead_targets:
        yield _missing(target, 86, (f"Nothing answers at {target}.",))
    detail = facts.server.checks.get("bulk", "")
    if detail and "bulk" not in crashing:
        yield _missing("bulk", 87, (f"/readyz says of bulk: {detail}",))


def _crash(role: str, score: float, words: list[str]) -> Cause:
    return Cause(
        "CrashLoop",
        score,
        f"{f'Role {role}' if role else 'A role'} ends and is started again.",
        tuple(words),
        (
            "kubectl get pods -l app=notification-worker",
            "kubectl logs -l app=notification-worker --previous --tail=100",
            "kubectl rollout undo deployment/notification-worker",
            "bellhouse doctor dlq-growing",
        ),
        (role,) if role else (),
    )


def _missing(role: str, score: float, evidence: tuple[str, ...]) -> Cause:
    return Cause(
        "ProcessMissing",
        score,
        f"{role} is not there.",
        evidence,
        (
            "kubectl get pods -l app=notification-worker",
            "kubectl logs -l app=notification-worker --tail=100",
            "kubectl rollout restart deployment/notification-worker",
        ),
        (role,),
    )


def clock(facts: Facts) -> Iterator[Cause]:
    """Our clock and one outside disagree."""
    found = [one for one in facts.processes if one.skew_s is not None and abs(one.skew_s) >= _SKEW_S]
    if not found:
        return
    worst = max(abs(one.skew_s or 0.0) for one in found)
    yield Cause(
        "ClockSkew",
        76 + min(14.0, worst / 5),
        "A clock is wrong: windows, lifetimes and signatures of callbacks are judged by it.",
        tuple(f"Role {one.role}'s clock is {one.skew_s:+.1f} s from one outside." for one in found),
        ("timedatectl status", "chronyc tracking"),
    )


def stale(facts: Facts) -> Iterator[Cause]:
    """The exporter reads some gauges no more, so that alerts look at the past."""
    old = {name: age for name, age in facts.gauge_ages.items() if age > _STALE_S}
    oldest = max((one.age_s or 0.0 for one in facts.processes), default=0.0)
    missing = facts.metrics and not facts.gauge_ages and oldest > _STALE_S / 2
    unchecked = _unchecked(facts, oldest)
    if not old and not missing and not unchecked:
        return
    evidence = [f"The gauges of {name} were last read {span(age)} ago." for name, age in sorted(old.items())]
    if missing:
        evidence.append("No exporter shows any gauge: backlog, breakers and ledger are not seen by anybody.")
    evidence += unchecked
    evidence += _logged(facts, "Shared gauge could not be read", "The ledger cannot be counted")
    yield Cause(
        "GaugesStale",
        62 if missing else 66,
        "The gauges that all alerts look at are old.",
        tuple(evidence),
        (
            "kubectl logs deployment/scheduler --tail=100",
            "kubectl rollout restart deployment/scheduler",
            "bellhouse ledger",
        ),
    )


def _unchecked(facts: Facts, oldest_s: float) -> list[str]:
    """What is to be said of a ledger that nobody checks, by an exporter that shows other gauges."""
    checked_s = facts.ledger_age_s
    if checked_s is None:
        never = facts.gauge_ages and oldest_s > _PROMISED.stale_s
        return ["The ledger has not been checked at all."] if never else []
    return [f"The ledger was last checked {span(checked_s)} ago."] if checked_s > _PROMISED.ledger_stale_s else []


def partitions(facts: Facts) -> Iterator[Cause]:
    """PostgreSQL has no tables for the days to come."""
    ahead = facts.partitions_ahead_days
    if ahead is not None and ahead < _PROMISED.partitions_days:
        yield Cause(
            "PartitionsMissing",
            90 if ahead < 1 else 79,
            "The store has no partitions for the days to come: from the first one missing on, nothing is accepted.",
            (f"Partitions reach {ahead:g} days ahead.",),
            ("kubectl logs deployment/scheduler --tail=100", "kubectl rollout restart deployment/scheduler"),
        )


RULES = (not_accepting, engines, disk, processes, clock, stale, partitions)


def _volumes(facts: Facts) -> Iterator[tuple[str, float, float]]:
    for one in facts.processes:
        if one.disk_free is not None and one.disk_size:
            yield f"The volume of role {one.role}", one.disk_free, one.disk_size
    if facts.folder_free is not None and facts.folder_size:
        yield "The volume of the data folder", facts.folder_free, facts.folder_size


def _dependency_words(one: DependencyFacts) -> str:
    said = f": {one.words}" if one.words else ""
    return f"Role {one.role or '?'} does not reach the {one.name}{said}."


def _logged(facts: Facts, *parts: str) -> list[str]:
    """What the log says with one of these words in it."""
    if facts.log is None:
        return []
    return [
        f'The log says "{message}" {count} times{_words_of(facts, message)}.'
        for message, count in facts.log.messages.items()
        if any(part in message for part in parts)
    ]


def _words_of(facts: Facts, message: str) -> str:
    words = facts.log.details.get(message, "") if facts.log is not None else ""
    return f", the last time: {words}" if words else ""


def _restarts_logged(facts: Facts) -> list[str]:
    if facts.log is None:
        return []
    count = sum(number for message, number in facts.log.messages.items() if "is started again" in message)
    return _logged(facts, "is started again") if count >= 2 else []


def _last_words(facts: Facts) -> list[str]:
    """What the log or a dead target says of a server that says nothing."""
    if facts.log is None:
        return []
    grave = [(count, message) for message, count in facts.log.messages.items()]
    return [
        f'The log says "{message}" {count} times{_words_of(facts, message)}.'
        for count, message in sorted(grave, reverse=True)[:3]
    ]
