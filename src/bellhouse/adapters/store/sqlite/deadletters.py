"""Dead letters: listed, sent again, put away."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bellhouse.adapters.store.codec import encode
from bellhouse.adapters.store.letters import conditions, sent_again
from bellhouse.adapters.store.sqlite.database import Database, Row, Transaction
from bellhouse.adapters.store.sqlite.events import insert_event, states_of
from bellhouse.adapters.store.sqlite.ledger import count
from bellhouse.adapters.store.sqlite.migrate import log_table
from bellhouse.adapters.store.tally import Tally
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import DeliveryId, TenantNo
from bellhouse.domain.words import Channel
from bellhouse.ports.log import deliveries_topic
from bellhouse.ports.store.dead_letters import DeadLetterFilter, DeadLetterRow

_COLUMNS: Final = "id, tenant, channel, provider, type, user_id, reason, code, at, state, epoch, by, why"
_PUT_AWAY: Final = "UPDATE dead_letters SET state = ?, epoch = epoch + ?, by = ?, why = ? WHERE id = ?"


class SqliteDeadLetters:
    """The DeadLetterStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def dead_letters(
        self, filter: DeadLetterFilter, after: DeliveryId | None, limit: int
    ) -> Sequence[DeadLetterRow]:
        where, bindings = _condition(filter)
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM dead_letters WHERE id > ? {where} ORDER BY id LIMIT ?",
            (after or b"", *bindings, limit),
        )
        return [DeadLetterRow(*row) for row in rows]

    async def replay(
        self, deliveries: Sequence[DeliveryId], tenant: TenantNo | None, now: int, lifetime_ms: int, by: str
    ) -> int:
        with self._database.write() as transaction:
            tally = Tally()
            letters = _open_letters(transaction, deliveries, tenant)
            states = states_of(transaction, [row[0] for row in letters])
            replayed = 0
            for identifier, owner, record in letters:
                standing = states[identifier]
                transaction.run(_PUT_AWAY, ("replayed", 1, by, "", identifier))
                if standing.state != "dead_lettered":
                    continue
                detail = encode(Detail(reason="waiting:replayed", by=by))
                insert_event(
                    transaction, identifier, standing.steps, "waiting", "dead_lettered", now, "operator", detail
                )
                tally.delivery(owner, identifier, "dead_lettered", "waiting")
                _publish(transaction, record, standing.steps + 1, now, lifetime_ms)
                replayed += 1
            count(transaction, tally)
        return replayed

    async def discard(
        self, deliveries: Sequence[DeliveryId], tenant: TenantNo | None, now: int, by: str, why: str
    ) -> int:
        with self._database.write() as transaction:
            tally = Tally()
            letters = _open_letters(transaction, deliveries, tenant)
            states = states_of(transaction, [row[0] for row in letters])
            for identifier, owner, _ in letters:
                standing = states[identifier]
                transaction.run(_PUT_AWAY, ("discarded", 0, by, why, identifier))
                if standing.state == "dead_lettered":
                    detail = encode(Detail(reason="cancelled:discarded", by=by, why=why))
                    insert_event(
                        transaction, identifier, standing.steps, "cancelled", "dead_lettered", now, "operator", detail
                    )
                    tally.delivery(owner, identifier, "dead_lettered", "cancelled")
            count(transaction, tally)
        return len(letters)

    async def depths(self) -> Mapping[Channel, int]:
        rows = self._database.rows("SELECT channel, count(*) FROM dead_letters WHERE state = 'open' GROUP BY channel")
        return dict(rows)


def _condition(filter: DeadLetterFilter) -> tuple[str, list[Any]]:
    parts, bindings = "", []
    for condition, wanted in conditions(filter):
        parts += f" AND {condition}"
        bindings += wanted
    if filter.ids is not None:
        parts += f" AND id IN ({', '.join('?' * len(filter.ids))})"
        bindings.extend(filter.ids)
    return parts, bindings


def _open_letters(transaction: Transaction, deliveries: Sequence[DeliveryId], tenant: TenantNo | None) -> list[Row]:
    rows: list[Row] = transaction.many(
        "SELECT id, tenant, record FROM dead_letters WHERE id = ? AND state = 'open' AND coalesce(?, tenant) = tenant",
        [(identifier, tenant) for identifier in dict.fromkeys(deliveries)],
    ).fetchall()
    return rows


def _publish(transaction: Transaction, record: bytes, step: int, now: int, lifetime_ms: int) -> None:
    """Append a dead letter's delivery to the log, as if it were new."""
    again = sent_again(record, step, now, lifetime_ms)
    topic = deliveries_topic(again.channel, again.priority)
    transaction.run(f"INSERT INTO {log_table(topic)} (record) VALUES (?)", (encode(again),))
    transaction.topics.add(topic)
