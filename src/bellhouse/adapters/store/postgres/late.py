"""What a process learns of a delivery after another one has called its attempt interrupted: kept as news."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

from bellhouse.adapters.store.codec import decode_detail, encode
from bellhouse.adapters.store.postgres.database import Connection
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.domain.delivery import Detail, Event, NewsKind
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.store.deliver import Outcome

_SQL: Final = queries("late")

_KNOWS: Final[Mapping[DeliveryState, NewsKind]] = {"sent": "accepted", "delivered": "delivered"}
"""What such an outcome can still say for certain: that the provider took the message."""


async def keep_what_is_late(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Insert as news what these outcomes know, unless they are themselves what stands: then an answer was lost, and
    everything that follows from them stands as well. `early.merge_early_news` lets the news count."""
    rows = await connection.fetch(_SQL["standing"], [outcome.event.delivery for outcome in outcomes])
    stands = {(identifier, n): tuple(rest) for identifier, n, *rest in rows}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.event.delivery):
        event = outcome.event
        kind = _KNOWS.get(event.state)
        if kind is None or stands.get((event.delivery, event.n)) == (event.state, event.at, event.detail):
            continue
        await connection.execute(_SQL["keep"], event.delivery, _number(event), event.at, _news(event, kind))


def _news(event: Event, kind: NewsKind) -> bytes:
    said = decode_detail(event.detail)
    return encode(
        Detail(
            reason="late:outcome",
            provider=said.provider,
            attempt=said.attempt,
            code=said.code,
            message_id=said.message_id,
            news=kind,
            price=said.price,
        )
    )


def _number(event: Event) -> int:
    """The same for a repeat of the same outcome; 63 bits, like the hash of a provider's event id."""
    digest = blake2b(event.delivery + event.n.to_bytes(8), digest_size=8, person=b"late outcome")
    return int.from_bytes(digest.digest()) >> 1
