"""The read side: stories, lists and the ledger, on a connection and a thread of its own."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import apsw

from bellhouse.adapters.store.codec import decode_decision, decode_notification
from bellhouse.adapters.store.recent import bad_ends, recent_of, span, waiting
from bellhouse.adapters.store.sqlite.database import Database, Row, translated
from bellhouse.adapters.store.sqlite.events import InFlight
from bellhouse.adapters.store.sqlite.recount import read_ledger
from bellhouse.adapters.store.stories import bounds, matches, story_of
from bellhouse.domain.ids import NotificationId, TenantNo, last_delivery_of, made_at, notification_of
from bellhouse.domain.notification import Notification
from bellhouse.ports.store.insights import Ledger, ListQuery, Recent, Story

_SCAN: Final = 20_000
"""Rows that one list may look at; a narrower question answers from fewer."""

T = TypeVar("T")


class Reader:
    """A read connection with the same face as a write transaction's `run` and `many`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def run(self, sql: str, bindings: Any = None) -> Any:
        return self._connection.execute(sql, bindings)

    def many(self, sql: str, rows: Any) -> Any:
        return self._connection.executemany(sql, rows)

    def snapshot(self, work: Callable[["Reader"], T]) -> T:
        """Run `work` on one consistent state of the file."""
        with translated():
            self._connection.execute("BEGIN")
            try:
                return work(self)
            finally:
                if self._connection.in_transaction:  # an error may have ended it
                    self._connection.execute("COMMIT")


class SqliteInsights:
    """The Insights port."""

    def __init__(self, database: Database) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="insights")
        self._reader = Reader(database.read_connection())

    async def _ask(self, work: Callable[[Reader], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.snapshot, work)

    async def story(self, tenant: TenantNo | None, notification: NotificationId) -> Story | None:
        return await self._ask(lambda reader: _story(reader, tenant, notification))

    async def list(self, query: ListQuery) -> Sequence[tuple[Notification, str]]:
        return await self._ask(lambda reader: _list(reader, query))

    async def ledger(self, tenant: TenantNo | None, now: int, recount: bool) -> Ledger:
        return await self._ask(lambda reader: read_ledger(reader, tenant, now, recount))

    async def recent(self, since: int, until: int, limit: int) -> Recent:
        return await self._ask(lambda reader: _recent(reader, (*span(since, until), limit)))

    def close(self) -> None:
        self._thread.shutdown()
        self._reader._connection.close()


def _story(reader: Reader, tenant: TenantNo | None, identifier: NotificationId) -> Story | None:
    rows = reader.run("SELECT record FROM notifications WHERE id = ?", (identifier,)).fetchall()
    if not rows:
        return None
    notification = decode_notification(rows[0][0])
    if tenant is not None and notification.tenant != tenant:
        return None
    decided = reader.run("SELECT record FROM decisions WHERE id = ?", (identifier,)).fetchall()
    decision = decode_decision(decided[0][0]) if decided else None
    rows = reader.run(
        "SELECT id, kind, n, state, detail, at, source FROM delivery_events WHERE id > ? AND id <= ?",
        (identifier, last_delivery_of(identifier)),
    ).fetchall()
    return story_of(notification, decision, rows, InFlight(reader).has)


def _list(reader: Reader, query: ListQuery) -> Sequence[tuple[Notification, str]]:
    found: list[tuple[Notification, str]] = []
    for identifier, record in _candidates(reader, query):
        notification = decode_notification(record)
        if not matches(query, notification):
            continue
        decided = reader.run("SELECT state FROM decisions WHERE id = ?", (identifier,)).fetchall()
        state = decided[0][0] if decided else "waiting"
        if query.state is None or query.state == state:
            found.append((notification, state))
            if len(found) == query.limit:
                break
    return found


def _candidates(reader: Reader, query: ListQuery) -> Sequence[Row]:
    """Notifications in question, the newest first: a recipient's own list, or the newest of all."""
    before, oldest = bounds(query)
    if query.user_id is None:
        newest: list[Row] = reader.run(
            "SELECT id, record FROM notifications WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT ?",
            (before, oldest, _SCAN),
        ).fetchall()
        return newest
    rows = reader.run(
        "SELECT recipient FROM recipients WHERE tenant = ? AND user_id = ?", (query.tenant, query.user_id)
    ).fetchall()
    if not rows:
        return []
    ids = _ids_of(reader, rows[0][0], before, oldest)
    own: list[Row] = reader.many("SELECT id, record FROM notifications WHERE id = ?", [(i,) for i in ids]).fetchall()
    return own


def _ids_of(reader: Reader, recipient: int, before: bytes, oldest: bytes) -> Sequence[bytes]:
    """A recipient's notifications, from one small segment after another, the newest first."""
    newest = reader.run("SELECT coalesce(max(segment), 0) FROM recipient_notifications").fetchall()[0][0]
    ids: list[bytes] = []
    for segment in range(newest, -1, -1):
        rows = reader.run(
            "SELECT id FROM recipient_notifications WHERE segment = ? AND recipient = ? AND id < ? AND id >= ?",
            (segment, recipient, before, oldest),
        ).fetchall()
        ids.extend(row[0] for row in rows)
        if len(ids) >= _SCAN or (_is_older(reader, segment, oldest)):
            break
    return sorted(ids, reverse=True)


def _is_older(reader: Reader, segment: int, oldest: bytes) -> bool:
    """Whether everything before this segment is older than the question asks for."""
    row = reader.run("SELECT id FROM recipient_notifications WHERE segment = ? LIMIT 1", (segment,)).fetchall()
    return bool(row) and made_at(row[0][0]) + 60_000 < made_at(oldest)


def _recent(reader: Reader, window: tuple[bytes, bytes, int]) -> Recent:
    """Each read walks its primary key downwards from the newest row, and ends at its limit."""
    events = reader.run(
        "SELECT id, state, at, detail FROM delivery_events "
        "WHERE id >= ? AND id < ? AND kind = 0 ORDER BY id DESC LIMIT ?",
        window,
    ).fetchall()
    arrivals = reader.run(
        "SELECT record FROM notifications WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?", window
    ).fetchall()
    letters = reader.run(
        "SELECT tenant, type, channel, provider, reason, code, at, record FROM dead_letters "
        "WHERE state = 'open' AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?",
        window,
    ).fetchall()
    decided = reader.run(
        "SELECT state, CASE state WHEN 'suppressed' THEN record END FROM decisions "
        "WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?",
        window,
    ).fetchall()
    asked = {notification_of(event[0]) for event in (*bad_ends(events), *waiting(events))}
    notifications = _records(reader, "notifications", asked)
    decisions = _records(reader, "decisions", asked)
    return recent_of(events, [row[0] for row in arrivals], letters, decided, notifications, decisions)


def _records(reader: Reader, table: str, ids: Collection[bytes]) -> dict[bytes, bytes]:
    rows = reader.many(f"SELECT id, record FROM {table} WHERE id = ?", [(one,) for one in sorted(ids)])
    return dict(rows.fetchall())
