"""When a provider that accepts and never confirms is left alone: a pure rule over what is known of all of them.

    accepts ── so many, and nothing heard for so long ──► silent ── anything heard ──► speaks

A silent provider's breaker opens, by the reason `silent`, only where that can help: it has confirmed before, so that
its callbacks are known to find us; another provider of the channel can take over; and it is not our own door that has
closed, which all of them would be silent at. As soon as one of these holds no more, or anything is heard of it, the
breaker closes. What is silent stays so until it is heard, so the rule gives the same answer until something happens.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from bellhouse.domain.words import Channel
from bellhouse.ports.provider import Sheet
from bellhouse.ports.store.providers import BreakerRow, BreakerState, Sign


class SilenceSettings(msgspec.Struct, frozen=True):
    """When silence is noticed."""

    accepted: int = 20
    """Messages that must have been accepted since the last callback: fewer may all be late."""
    silent_ms: int = 900_000
    """How long the first of them has been without a callback when the breaker opens; 0: it never does."""


class Watched(msgspec.Struct, frozen=True):
    """What the rule looks at."""

    order: Mapping[Channel, Sequence[Sheet]]
    """The providers of each channel, in the order in which they are tried."""
    signs: Mapping[str, Sign]
    rows: Mapping[tuple[str, Channel], BreakerRow]


class Change(msgspec.Struct, frozen=True):
    """A breaker that the rule opens or closes."""

    row: BreakerRow
    """As it is to be; its version is one above that of the row that was looked at."""
    silent_ms: int
    """For how long its provider has been silent; 0 where it has been heard."""


def silence_ms(sheet: Sheet, sign: Sign, now: int, settings: SilenceSettings) -> int:
    """For how long a provider has accepted without confirming any; 0 is fine.

    Where recipients' devices confirm, not the provider, one that has never confirmed has apps that do not.
    """
    if (
        not sheet.confirms
        or sign.accepted < settings.accepted
        or (sheet.confirmed_by == "device" and not sign.heard_at)
    ):
        return 0
    return max(0, now - sign.since)


def changes(watched: Watched, now: int, settings: SilenceSettings) -> Iterator[Change]:
    """The breakers that are to be opened or closed now."""
    sheets = {sheet.name: sheet for providers in watched.order.values() for sheet in providers}
    silent = {
        name: ms
        for name, sheet in sheets.items()
        if settings.silent_ms and (ms := silence_ms(sheet, _sign(watched, name), now, settings)) >= settings.silent_ms
    }
    for channel, providers in watched.order.items():
        for sheet in providers:
            row = watched.rows.get((sheet.name, channel), BreakerRow(sheet.name, channel))
            if row.forced != "none":
                continue
            opens = sheet.name in silent and _helps(watched, channel, sheet, silent)
            if opens and row.state == "closed":
                yield Change(_changed(row, "open", now), silent[sheet.name])
            elif not opens and row.state != "closed" and row.reason == "silent":
                yield Change(_changed(row, "closed", now), silent.get(sheet.name, 0))


def _helps(watched: Watched, channel: Channel, sheet: Sheet, silent: Mapping[str, int]) -> bool:
    """Whether leaving this silent provider alone would help: see above."""
    sign = _sign(watched, sheet.name)
    confirm = {each.name for providers in watched.order.values() for each in providers if each.confirms}
    others = [name for name in watched.signs if name in confirm and name != sheet.name]
    door_is_closed = any(name in silent for name in others) and not any(
        watched.signs[name].heard_at > sign.since for name in others
    )
    return bool(sign.heard_at) and not door_is_closed and _has_stand_in(watched, channel, sheet, silent)


def _has_stand_in(watched: Watched, channel: Channel, sheet: Sheet, silent: Mapping[str, int]) -> bool:
    for other in watched.order[channel]:
        row = watched.rows.get((other.name, channel), BreakerRow(other.name, channel))
        # What takes any contact point sends nothing.
        if other.name not in (sheet.name, *silent) and row.state == "closed" and not other.any_contact:
            return True
    return False


def _sign(watched: Watched, provider: str) -> Sign:
    return watched.signs.get(provider, Sign())


def _changed(row: BreakerRow, state: BreakerState, now: int) -> BreakerRow:
    return msgspec.structs.replace(
        row,
        state=state,
        changed_at=now,
        failures=0,
        probe_owner="",
        version=row.version + 1,
        reason="silent" if state == "open" else "failures",
    )
