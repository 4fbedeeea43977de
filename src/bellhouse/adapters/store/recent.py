"""What an operator is told of the newest rows, whatever store they are in: which of them are alike, and how many."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bellhouse.adapters.store.codec import decode_decision, decode_delivery, decode_detail, decode_notification
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import notification_of
from bellhouse.domain.notification import Decision, Notification
from bellhouse.ports.store.insights import Alike, Recent

SAMPLE: Final = 200
"""Bad ends that are told with their type and template, which takes two look-ups each."""
_SAID: Final = 80
"""Characters of what a provider says of our account."""
_BAD_ENDS: Final = frozenset({"failed", "dead_lettered"})
_UNREADABLE: Final = "dead_lettered:unreadable"


class _Groups:
    """Counts what has the same words."""

    def __init__(self) -> None:
        self._groups: dict[tuple[tuple[str, Any], ...], list[float]] = {}

    def add(self, at: int, took_ms: float = 0.0, **words: Any) -> None:
        group = self._groups.setdefault(tuple(words.items()), [0, at, at, 0.0])
        group[0] += 1
        group[1] = min(group[1], at)
        group[2] = max(group[2], at)
        group[3] = max(group[3], took_ms)

    def largest_first(self) -> Sequence[Alike]:
        found = [
            Alike(int(count), int(first), int(last), worst_ms=worst, **dict(words))
            for words, (count, first, last, worst) in self._groups.items()
        ]
        return tuple(sorted(found, key=lambda one: -one.count))


def span(since: int, until: int) -> tuple[bytes, bytes]:
    """The ids of what was received from one moment on and before another (ms since the epoch)."""
    return max(0, since).to_bytes(6) + bytes(10), max(0, until).to_bytes(6) + bytes(10)


def bad_ends(events: Sequence[Any]) -> list[Any]:
    """A sample of the events (id, state, at, detail) in which a delivery ended badly, the newest."""
    return [event for event in events if event[1] in _BAD_ENDS][:SAMPLE]


def waiting(events: Sequence[Any]) -> list[Any]:
    """A sample of the events in which a delivery was put back, the newest."""
    return [event for event in events if event[1] == "waiting"][:SAMPLE]


def recent_of(
    events: Sequence[Any],
    arrivals: Iterable[bytes],
    letters: Iterable[Any],
    decided: Iterable[tuple[str, bytes | None]],
    notifications: Mapping[bytes, bytes],
    decisions: Mapping[bytes, bytes],
) -> Recent:
    """The newest rows in groups.

    `events` are workers' (id, state, at, detail), `letters` (tenant, type, channel, provider, reason, code, at,
    record), `decided` (state, record of a suppressed one); the records of notifications and decisions are those of
    the bad ends among the events, and of what was put back.
    """
    attempts, failures, waits = _Groups(), _Groups(), _Groups()
    sampled = {(event[0], event[2]) for event in bad_ends(events)}
    for identifier, state, at, raw in events:
        detail = decode_detail(raw) if raw else Detail()
        notification = notification_of(identifier)
        if detail.verdict and detail.provider:
            refused = (detail.why or "")[:_SAID] if detail.verdict == "account_fault" else ""
            attempts.add(
                at,
                detail.duration_ms,
                provider=detail.provider,
                verdict=detail.verdict,
                reason=refused,
                code=detail.code or "",
            )
        if (identifier, at) in sampled and state in _BAD_ENDS:
            _add_failure(failures, at, detail, notifications.get(notification), decisions.get(notification))
        if state == "waiting" and detail.reason:
            known = notifications.get(notification)
            tenant = decode_notification(known).tenant if known is not None else 0
            waits.add(at, tenant=tenant, reason=detail.reason)
    came = _Groups()
    for record in arrivals:
        item = decode_notification(record)
        came.add(item.received_at, tenant=item.tenant, type=item.type, priority=item.priority)
    return Recent(
        attempts.largest_first(),
        failures.largest_first(),
        waits.largest_first(),
        came.largest_first(),
        _letters(letters),
        sum(_is_undecidable(state, record) for state, record in decided),
    )


def _add_failure(groups: _Groups, at: int, detail: Detail, record: bytes | None, decided: bytes | None) -> None:
    item: Notification | None = None if record is None else decode_notification(record)
    decision: Decision | None = None if decided is None else decode_decision(decided)
    groups.add(
        at,
        detail.duration_ms,
        tenant=item.tenant if item else 0,
        type=item.type if item else "",
        provider=detail.provider or "",
        reason=detail.reason or "",
        code=detail.code or "",
        template=(decision.template if decision else None) or "",
        template_version=decision.template_version if decision else 0,
    )


def _letters(rows: Iterable[Any]) -> Sequence[Alike]:
    groups = _Groups()
    for tenant, kind, channel, provider, reason, code, at, record in rows:
        try:
            delivery = decode_delivery(record)
            template, version = delivery.template or "", delivery.template_version
        except msgspec.DecodeError:
            # A damaged record is what its reason says; who looks for it must not stumble over it.
            template, version = "", 0
        groups.add(
            at,
            tenant=tenant,
            type=kind,
            channel=channel,
            provider=provider or "",
            reason=reason,
            code=code or "",
            template=template,
            template_version=version,
        )
    return groups.largest_first()


def _is_undecidable(state: str, record: bytes | None) -> bool:
    if state != "suppressed" or record is None:
        return False
    return any(reason.code == _UNREADABLE for reason in decode_decision(record).reasons)
