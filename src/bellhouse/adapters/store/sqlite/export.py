"""Reads a stopped file for a move: every table in the order of its key, and what is left to do of the log."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bellhouse.adapters.store.codec import decode_breaker, decode_delivery, decode_notification
from bellhouse.adapters.store.moving import PENDING, Chunk, Counts, Key, LogChunk, Row
from bellhouse.adapters.store.sqlite.database import Database, blobs
from bellhouse.adapters.store.sqlite.events import SELECT_EVENTS_OF, states_of
from bellhouse.adapters.store.sqlite.insights import Reader
from bellhouse.adapters.store.sqlite.keys import KEY_LIFE_MS
from bellhouse.adapters.store.sqlite.migrate import is_current, log_table, migrate
from bellhouse.adapters.store.sqlite.recount import read_ledger
from bellhouse.adapters.store.standing import by_delivery, standing_of, unpack
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.log import GROUP_OF, NOTIFICATION_TOPICS
from bellhouse.ports.store.deliver import Claim
from bellhouse.ports.store.insights import Ledger

_DECIDED: Final = "SELECT id FROM carray(?) AS asked CROSS JOIN decisions ON id = asked.value"
_POSITION: Final = "SELECT offset FROM positions WHERE topic = ? AND consumer_group = ?"


class _Table(msgspec.Struct, frozen=True):
    """How a part is read."""

    columns: str
    """Those of the key first."""
    key: tuple[str, ...]
    turned: Callable[[Sequence[Row]], list[Row]] = list
    """From rows of these columns to rows of the part's."""
    where: str = ""
    """Which rows are carried; its one `?` is the smallest id that is young enough."""


def _with_recipient(rows: Sequence[Row]) -> list[Row]:
    return [(identifier, decode_notification(record).recipient, record) for identifier, record in rows]


def _without_segment(rows: Sequence[Row]) -> list[Row]:
    return [row[1:] for row in rows]


def _forced(rows: Sequence[Row]) -> list[Row]:
    """Only what an operator has said: the rest is found out anew by whoever sends."""
    return [row for row in rows if decode_breaker(row[3]).forced != "none"]


def _due(rows: Sequence[Row]) -> list[Row]:
    return [_due_row(*row) for row in rows]


def _due_row(due_at: int, identifier: bytes, topic: str, record: bytes) -> Row:
    if topic in NOTIFICATION_TOPICS:
        return due_at, identifier, topic, decode_notification(record).recipient, False, record
    delivery = decode_delivery(record)
    recipient = decode_notification(delivery.notification).recipient
    return due_at, identifier, topic, recipient, delivery.parked, record


_TABLES: Final = {
    "tenants": _Table("tenant, name, environment", ("tenant",)),
    "api_keys": _Table("id, record", ("id",)),
    "types": _Table("tenant, name, record", ("tenant", "name")),
    "templates": _Table("tenant, name, version, record", ("tenant", "name", "version")),
    "breakers": _Table("provider, channel, version, record", ("provider", "channel"), _forced),
    "levers": _Table("kind, scope, record", ("kind", "scope")),
    "audit": _Table("number, at, act, record", ("number",)),
    "recipients": _Table("recipient, tenant, user_id, profile, updated_at", ("recipient",)),
    "suppressions": _Table("tenant, address, reason, at, detail", ("tenant", "address")),
    "collapse_keys": _Table("recipient, collapse_key, id", ("recipient", "collapse_key")),
    "inbox": _Table("recipient, id, read_at, expires_at, record", ("recipient", "id")),
    "dead_letters": _Table(
        "id, tenant, channel, provider, type, user_id, reason, code, at, state, epoch, by, why, record", ("id",)
    ),
    "notifications": _Table("id, record", ("id",), _with_recipient),
    "decisions": _Table("id, state, count, record", ("id",)),
    "delivery_events": _Table("id, kind, n, state, previous, at, source, detail", ("id", "kind", "n")),
    "early_news": _Table("id", ("id",)),
    "idempotency_keys": _Table(
        "segment, key, id, fingerprint", ("segment", "key"), _without_segment, "id >= ?"
    ),
    "ledger": _Table("tenant, day, level, state, count", ("tenant", "day", "level", "state")),
    "due": _Table("due_at, id, topic, record", ("due_at", "id"), _due),
}  # fmt: skip


class SqliteExport:
    """A file that nobody serves, whose schema is brought up to date when it is opened; or one to look at, which may
    be served and is left as it is. Raises StoreUnavailable."""

    def __init__(self, path: Path, moment: int, writes: bool) -> None:
        """`moment` (ms since the epoch): keys that had lived their day by then are left behind."""
        self._database = Database(path, lambda _: None)
        if writes:
            migrate(self._database)
            self._let_go()
        self.is_current = is_current(self._database)
        """Whether the file has all that is read here."""
        self._young = ((moment - KEY_LIFE_MS + 1).to_bytes(6) + bytes(10),)
        self._interrupted: set[tuple[DeliveryId, int]] | None = None

    def _let_go(self) -> None:
        """What brakes hold goes along as what an outage has parked, and is held again where the brakes are moved to."""
        with self._database.write() as transaction:
            transaction.run(
                "INSERT OR IGNORE INTO parked SELECT substr(rest, 1, instr(rest, '.') - 1),"
                " substr(rest, instr(rest, '.') + 1), id, due_at"
                " FROM (SELECT substr(topic, 12) AS rest, id, due_at FROM held)"
                " WHERE (due_at, id) IN (SELECT due_at, id FROM due)"
            )
            transaction.run("DELETE FROM held")

    def close(self) -> None:
        self._database.close()

    # --- tables ---

    def count(self, part: str) -> int:
        """How many rows of a part there are to carry."""
        if part == "breakers":
            rows = self._database.rows("SELECT provider, channel, version, record FROM breakers")
            return len(_forced(rows))
        where = _TABLES[part].where
        sql = f"SELECT count(*) FROM {part}" + (f" WHERE {where}" if where else "")
        return int(self._database.rows(sql, self._young if where else None)[0][0])

    def read(self, part: str, after: Key | None, limit: int) -> Chunk | None:
        """The next rows of a part behind a key; None where there are no more."""
        table = _TABLES[part]
        conditions: list[str] = []
        bindings: list[Any] = []
        if table.where:
            conditions.append(table.where)
            bindings += self._young
        if after is not None:
            conditions.append(f"({', '.join(table.key)}) > ({', '.join('?' * len(table.key))})")
            bindings += after
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        sql = f"SELECT {table.columns} FROM {part} {where} ORDER BY {', '.join(table.key)} LIMIT ?"
        rows = self._database.rows(sql, (*bindings, limit))
        if not rows:
            return None
        return Chunk(table.turned(rows), len(rows), rows[-1][: len(table.key)])

    # --- the log ---

    def log_count(self, topic: str) -> int:
        """How many records the topic's group has not finished, as far as its position tells."""
        sql = f"SELECT count(*) FROM {log_table(topic)} WHERE offset > ?"
        return int(self._database.rows(sql, (self._position(topic),))[0][0])

    def read_log(self, topic: str, after: int | None, limit: int) -> LogChunk | None:
        """The next records behind an offset, at first behind the position; None where there are no more."""
        sql = f"SELECT offset, record FROM {log_table(topic)} WHERE offset > ? ORDER BY offset LIMIT ?"
        rows = self._database.rows(sql, (self._position(topic) if after is None else after, limit))
        if not rows:
            return None
        records = [record for _, record in rows]
        divide = self._notifications if topic in NOTIFICATION_TOPICS else self._deliveries
        return divide(records, rows[-1][0])

    def _position(self, topic: str) -> int:
        rows = self._database.rows(_POSITION, (topic, GROUP_OF[topic]))
        return int(rows[0][0]) if rows else 0

    def _notifications(self, records: Sequence[bytes], last: int) -> LogChunk:
        """Those without a decision: one that has one was cancelled while it waited here."""
        opened = _opened(decode_notification, records)
        found = self._database.rows(_DECIDED, (blobs([notification.id for notification, _ in opened]),))
        decided = {row[0] for row in found}
        carried = [(note.recipient, record) for note, record in opened if note.id not in decided]
        return LogChunk(
            len(records), last, carried, (), len(opened) - len(carried), len(records) - len(opened)
        )  # fmt: skip

    def _deliveries(self, records: Sequence[bytes], last: int) -> LogChunk:
        opened = _opened(_open_delivery, records)
        rows = self._database.rows(SELECT_EVENTS_OF, (blobs([claim.delivery.id for claim, _ in opened]),))
        known = by_delivery(rows)
        carried, interrupted = [], []
        for claim, record in opened:
            standing = standing_of(claim, known.get(claim.delivery.id), {})
            # Also where news has answered it: the news counts when the attempt that it is about is settled.
            if (claim.delivery.id, claim.delivery.step) in self.interrupted and not standing.settled:
                interrupted.append(claim)
            elif not standing.stale:
                carried.append((claim.notification.recipient, record))
        done = len(opened) - len(carried) - len(interrupted)
        return LogChunk(len(records), last, carried, interrupted, done, len(records) - len(opened))

    @property
    def interrupted(self) -> set[tuple[DeliveryId, int]]:
        """Deliveries with their steps that open intents name and no outcome has settled."""
        if self._interrupted is None:
            packed = self._database.rows("SELECT deliveries FROM intents")
            named = {pair for (deliveries,) in packed for pair in unpack(deliveries)}
            with self._database.snapshot():
                states = states_of(Reader(self._database.connection), [identifier for identifier, _ in named])
            self._interrupted = {(identifier, step) for identifier, step in named if states[identifier].steps <= step}
        return self._interrupted

    # --- the whole ---

    def waiting(self) -> Counts:
        """Rows that are due at some moment, by kind."""
        sql = "SELECT count(*) FROM due WHERE topic >= 'notifications.' AND topic < 'notifications/'"
        scheduled = self._database.rows(sql)[0][0]
        parked = self._database.rows("SELECT count(*) FROM parked")[0][0]
        return {
            PENDING[1]: scheduled,
            PENDING[3]: self.count("due") - scheduled - parked,
            PENDING[4]: parked,
        }

    def ledger(self, now: int) -> Ledger:
        """The ledger, counted from the rows as well."""
        reader = Reader(self._database.connection)
        return reader.snapshot(lambda snapshot: read_ledger(snapshot, None, now, True))

    def accepted(self) -> int:
        """How many answers were promised at the door."""
        return int(self._database.rows("SELECT value FROM meta WHERE name = 'accepted'")[0][0])

    def highest(self) -> tuple[int, int]:
        """The highest number that was ever given to a tenant, and to a recipient: those of the deleted are not given
        again, since their notifications are kept."""
        tenant = self._database.rows("SELECT coalesce(max(tenant), 0) FROM tenants")[0][0]
        recipient = self._database.rows("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'recipients'")
        return int(tenant), int(recipient[0][0])


def _opened(open_record: Callable[[bytes], Any], records: Sequence[bytes]) -> list[tuple[Any, bytes]]:
    """Those of the records that can be read, opened."""
    found = []
    for record in records:
        try:
            found.append((open_record(record), record))
        except msgspec.DecodeError:
            continue
    return found


def _open_delivery(record: bytes) -> Claim:
    delivery = decode_delivery(record)
    return Claim(delivery, decode_notification(delivery.notification))
