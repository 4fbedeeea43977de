"""How a breaker is written in Redis: the hash of its provider, a field for its channel, JSON that people can read."""

import datetime
from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from bellhouse.domain.words import Channel
from bellhouse.ports.store.providers import BreakerReason, BreakerRow, BreakerState, Forced

Key = tuple[str, Channel]

_CHANNELS: Final[dict[bytes, Channel]] = {channel.encode(): channel for channel in get_args(Channel)}


class _Written(msgspec.Struct, frozen=True):
    """A breaker's JSON. Only state and moment must be there, for those who write it by hand."""

    state: BreakerState
    changed_at: datetime.datetime
    forced: Forced = "none"
    failures: int = 0
    probe_owner: str = ""
    version: int = 0
    reason: BreakerReason = "failures"


def key_of(row: BreakerRow) -> Key:
    """What tells a breaker from the others."""
    return row.provider, row.channel


def hash_of(provider: str) -> bytes:
    """The name of the hash that has a provider's breakers. No prefix stands before it: runbooks name it."""
    return f"circuit:{provider}:state".encode()


def texts_of(answer: Sequence[bytes]) -> dict[Channel, bytes]:
    """What HGETALL answers, without fields that are no channel."""
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return {_CHANNELS[field]: text for field, text in pairs if field in _CHANNELS}


def written(row: BreakerRow) -> bytes:
    """A row as it is written."""
    changed_at = datetime.datetime.fromtimestamp(row.changed_at / 1000, datetime.UTC)
    return msgspec.json.encode(
        _Written(row.state, changed_at, row.forced, row.failures, row.probe_owner, row.version, row.reason)
    )


def read(key: Key, text: bytes | None) -> BreakerRow | None:
    """The row that is written; None where nothing is, or nothing that makes sense."""
    if text is None:
        return None
    try:
        found = msgspec.json.decode(text, type=_Written)
        changed_at = round(found.changed_at.timestamp() * 1000)
    except (msgspec.MsgspecError, OverflowError):
        return None
    return BreakerRow(
        *key, found.state, found.forced, changed_at, found.failures, found.probe_owner, found.version, found.reason
    )


def word(row: BreakerRow | None) -> Forced:
    """What an operator forces."""
    return "none" if row is None else row.forced
