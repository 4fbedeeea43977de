"""Dead letters, whatever store they are in: their rows, what a filter asks of them, and their next record."""

from typing import Any

import msgspec

from bellhouse.adapters.store.codec import decode_delivery, encode
from bellhouse.domain.delivery import Delivery
from bellhouse.ports.store.dead_letters import DeadLetterFilter
from bellhouse.ports.store.deliver import DeadLetter

_EXACT = ("tenant", "channel", "reason", "provider", "type", "state")


def row_of(letter: DeadLetter) -> tuple[Any, ...]:
    """(id, tenant, channel, provider, type, user_id, reason, code, at, record)"""
    notification = letter.notification
    return (
        letter.delivery.id,
        notification.tenant,
        letter.delivery.channel,
        letter.provider,
        notification.type,
        notification.user_id,
        letter.reason,
        letter.code,
        letter.at,
        encode(letter.delivery),
    )


def conditions(filter: DeadLetterFilter) -> list[tuple[str, list[Any]]]:
    """What a filter asks of a row but for its id, which each engine looks up in its own way: SQL with `?` for its
    values, and these."""
    found: list[tuple[str, list[Any]]] = []
    for column in _EXACT:
        wanted = getattr(filter, column)
        if column == "state" and wanted == "open":
            # Said in so many words, since that is what the index of open ones is of.
            found.append(("state = 'open'", []))
        elif wanted is not None:
            found.append((f"{column} = ?", [wanted]))
    if filter.since is not None:
        found.append(("at >= ?", [filter.since]))
    return found


def sent_again(record: bytes, step: int, now: int, lifetime_ms: int) -> Delivery:
    """A dead letter's delivery as if it were new; where it would have expired it lives `lifetime_ms` more from now."""
    delivery = decode_delivery(record)
    return msgspec.structs.replace(
        delivery,
        step=step,
        attempt=0,
        tried=(),
        unknown_since=0,
        parked=False,
        expires_at=max(delivery.expires_at, now + lifetime_ms),
    )
