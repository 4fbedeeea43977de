"""Dead letters: listed, sent again, put away."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from bellhouse.adapters.store.codec import encode
from bellhouse.adapters.store.letters import conditions, row_of, sent_again
from bellhouse.adapters.store.postgres.database import Connection, Database, Row
from bellhouse.adapters.store.postgres.due import pack, wait
from bellhouse.adapters.store.postgres.events import Step, insert_steps, lock_steps, states_of
from bellhouse.adapters.store.postgres.ledger import count
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.postgres.texts import storable
from bellhouse.adapters.store.standing import StateOf
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import DeliveryId, TenantNo, to_text
from bellhouse.domain.words import Channel, DeliveryState
from bellhouse.ports.doorbell import DUE
from bellhouse.ports.log import dead_letters_topic
from bellhouse.ports.store.dead_letters import DeadLetterFilter, DeadLetterRow
from bellhouse.ports.store.deliver import DeadLetter

_SQL: Final = queries("deadletters")


class DeadLetterNews(msgspec.Struct, frozen=True):
    """What the feed says of a dead letter. The table is the truth: whoever missed a record asks the API."""

    delivery_id: str
    notification_id: str
    tenant: int
    user_id: str
    type: str
    channel: Channel
    reason: str
    provider: str | None
    code: str | None
    at: int
    """Milliseconds since the epoch."""


class PostgresDeadLetters:
    """The DeadLetterStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def dead_letters(
        self, filter: DeadLetterFilter, after: DeliveryId | None, limit: int
    ) -> Sequence[DeadLetterRow]:
        sql, values = _asked(filter, after or b"", limit)
        return [DeadLetterRow(*row) for row in await self._database.rows(sql, *values)]

    async def replay(
        self, deliveries: Sequence[DeliveryId], tenant: TenantNo | None, now: int, lifetime_ms: int, by: str
    ) -> int:
        async with self._database.transaction() as connection:
            letters, states = await _lock_open(connection, deliveries, tenant)
            await _put_away(connection, letters, "replayed", by, epochs=1)
            dead = [letter for letter in letters if states[letter[0]].state == "dead_lettered"]
            detail = Detail(reason="waiting:replayed", by=by)
            await _move(connection, dead, states, "waiting", now, detail)
            again = [sent_again(record, states[i].steps + 1, now, lifetime_ms) for i, _, record in dead]
            await wait(connection, [(now, delivery) for delivery in again])
        if again:
            self._database.ring(frozenset({DUE}))
        return len(again)

    async def discard(
        self, deliveries: Sequence[DeliveryId], tenant: TenantNo | None, now: int, by: str, why: str
    ) -> int:
        async with self._database.transaction() as connection:
            letters, states = await _lock_open(connection, deliveries, tenant)
            await _put_away(connection, letters, "discarded", by, why)
            dead = [letter for letter in letters if states[letter[0]].state == "dead_lettered"]
            detail = Detail(reason="cancelled:discarded", by=by, why=why)
            await _move(connection, dead, states, "cancelled", now, detail)
        return len(letters)

    async def depths(self) -> Mapping[Channel, int]:
        return {row[0]: row[1] for row in await self._database.rows(_SQL["depths"])}


async def put_dead_letters(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Add dead letters; one that was replayed and failed again is open once more."""
    if not letters:
        return
    # A statement may touch a row once, and touches all of them in one order: two that meet do not wait in a circle.
    rows = [row_of(letter) for letter in {letter.delivery.id: letter for letter in letters}.values()]
    columns = [list(column) for column in zip(*sorted(rows, key=lambda row: row[0]), strict=True)]
    columns[7] = [storable(code) for code in columns[7]]
    await connection.execute(_SQL["put"], *columns)
    await _feed(connection, letters)


async def _feed(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Let the relay tell the topics `dlq.<channel>`: a JSON object each, without content and without addresses."""
    lots: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for letter in letters:
        delivery, notification = letter.delivery, letter.notification
        said = DeadLetterNews(
            to_text(delivery.id),
            to_text(notification.id),
            notification.tenant,
            notification.user_id,
            notification.type,
            delivery.channel,
            letter.reason,
            letter.provider,
            letter.code,
            letter.at,
        )
        lots[dead_letters_topic(delivery.channel)].append((notification.recipient, msgspec.json.encode(said)))
    await connection.execute(
        _SQL["feed"],
        list(lots),
        max(letter.at for letter in letters),
        [len(lot) for lot in lots.values()],
        [pack(lot) for lot in lots.values()],
    )


def _asked(filter: DeadLetterFilter, after: bytes, limit: int) -> tuple[str, list[Any]]:
    """The statement that lists what a filter is about, with its values."""
    sql = _SQL["list"]
    values: list[Any] = [after]
    for condition, wanted in conditions(filter):
        sql += f" AND {condition.replace('?', f'${len(values) + 1}')}"
        values += [storable(value) if isinstance(value, str) else value for value in wanted]
    if filter.ids is not None:
        sql += f" AND id = ANY(${len(values) + 1}::bytea[])"
        values.append(list(filter.ids))
    return f"{sql} ORDER BY id LIMIT ${len(values) + 1}", [*values, limit]


async def _lock_open(
    connection: Connection, deliveries: Sequence[DeliveryId], tenant: TenantNo | None
) -> tuple[Sequence[Row], Mapping[DeliveryId, StateOf]]:
    """The open ones among these letters (id, tenant, record), ascending, and where their deliveries stand; nobody else
    moves them until the transaction ends. Events are locked before letters, as by whoever settles an attempt."""
    await lock_steps(connection, deliveries)
    letters: Sequence[Row] = await connection.fetch(_SQL["lock_open"], list(deliveries), tenant)
    return letters, await states_of(connection, [letter[0] for letter in letters])


async def _put_away(
    connection: Connection, letters: Sequence[Row], state: str, by: str, why: str = "", epochs: int = 0
) -> None:
    ids = [letter[0] for letter in letters]
    await connection.execute(_SQL["put_away"], ids, state, epochs, storable(by), storable(why))


async def _move(
    connection: Connection,
    dead: Sequence[Row],
    states: Mapping[DeliveryId, StateOf],
    state: DeliveryState,
    now: int,
    detail: Detail,
) -> None:
    """Let each of these deliveries take its next step out of `dead_lettered`, by an operator."""
    if not dead:
        return
    tally, said = Tally(), encode(detail)
    steps: list[Step] = []
    for identifier, tenant, _ in dead:
        steps.append((identifier, states[identifier].steps, state, "dead_lettered", now, "operator", said))
        tally.delivery(tenant, identifier, "dead_lettered", state)
    await insert_steps(connection, steps)
    await count(connection, tally)
