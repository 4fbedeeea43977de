"""No statement on the way of a notification looks at more rows than it needs, whatever the file holds.

Every statement that a whole life of notifications runs is taken from the connection itself, so that a new one is
looked at too. A scan is lawful only where the table is small by its nature, or a LIMIT ends it at the first row.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.recipient import Preferences
from bellhouse.ports.log import GROUP_OF, Position, deliveries_topic, notifications_topic
from bellhouse.ports.store.catalogue import ApiKey
from bellhouse.ports.store.confirm import NewsRow
from bellhouse.ports.store.dead_letters import DeadLetterFilter
from bellhouse.ports.store.deliver import DeadLetter, InboxItem, Retirement, Settlement, Suppression
from bellhouse.ports.store.insights import ListQuery
from bellhouse.ports.store.providers import BreakerRow
from bellhouse.testing.records import (
    HOUR,
    NOON,
    acceptance,
    found_tenant,
    notification,
    open_claim,
    outcome,
    profile,
    routed,
)

PUSH = deliveries_topic("push", "normal")
NORMAL = notifications_topic("normal")

SMALL = {
    "intents": "one row a batch in flight",
    "early_news": "deliveries in flight that were overtaken by their news",
    "types": "read again only when a type changes",
    "templates": "read again only when a template changes",
    "tenants": "read again only when a tenant comes",
    "api_keys": "read again only when a key changes",
    "breakers": "one row a provider and channel",
    "ledger": "a row a tenant, day and state; read a few times a minute",
    "asked": "the batch itself",
}
OPEN_ONLY = "USING COVERING INDEX open_dead_letters"
"""What waits for an operator, and nothing that was ever dealt with."""
FIRST_ROW = {
    "SELECT 1 FROM suppressions LIMIT 1",
    "SELECT 1 FROM parked LIMIT 1",
}


class Statements:
    """What a connection has run, each once, with the bindings of the first time."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def __call__(self, _cursor: Any, sql: str, bindings: Any) -> bool:
        self.found.setdefault(sql, bindings)
        return True


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "bellhouse.db", LocalDoorbell())
    yield opened
    opened.close()


async def _live(store: SqliteStore) -> None:
    """Do everything that the stages do, at least once."""
    tenant, numbers = await found_tenant(store.catalogue, store.recipients)
    await _ways_in(store, tenant, numbers[0])
    claims = [open_claim(record.value) for record in await store.log.poll(PUSH, 0, 10)]
    known = await store.deliver.standings(claims)
    intent, _ = await store.deliver.begin(PUSH, claims[:3], known.as_of, NOON)
    news = [_news(claim, "delivered") for claim in claims]
    await store.confirm.news(news)
    letter = DeadLetter(claims[0].delivery, claims[0].notification, "dead_lettered:attempts_exhausted", NOON)
    outcomes = [
        outcome(claims[0], "dead_lettered"),
        outcome(claims[1], "waiting", again_at=NOON + 1),
        outcome(claims[2], "waiting", again_at=NOON + HOUR, park=True),
        outcome(claims[3], "waiting", previous="waiting", again_at=NOON + HOUR, park=True),
    ]
    retired, stop = Retirement(numbers[0], "push:1", "gone"), Suppression(tenant, "a@example.com", "bounce", NOON)
    done = (Position(GROUP_OF[PUSH], PUSH, 4),)
    await store.deliver.settle(Settlement(outcomes, [letter], [retired], [stop], [intent], done))
    await store.confirm.news(news)
    await store.confirm.recipients_of([claim.delivery.id for claim in claims])
    await store.confirm.follow_up([stop], [stop], [retired])
    await _what_waits(store)
    ids = [claims[0].delivery.id]
    await store.dead_letters.dead_letters(DeadLetterFilter(), None, 10)
    await store.dead_letters.depths()
    await store.dead_letters.replay(ids, None, NOON, HOUR, "ops")
    await store.dead_letters.discard(ids, tenant, NOON, "ops", "why")
    for claim in claims:
        await store.ingest.cancel(tenant, claim.notification.id, NOON, "caller")
    again = [open_claim(record.value) for record in await store.log.poll(PUSH, 4, 10)]
    await store.deliver.begin(PUSH, again, -1, NOON)
    await store.deliver.open_intents(PUSH)
    await _reading(store, tenant, claims[0])
    await store.log.trim(10)


async def _ways_in(store: SqliteStore, tenant: TenantNo, recipient: Any) -> None:
    items = [notification(tenant, recipient, NOON + i, collapse_key=f"k{i}") for i in range(5)]
    later = notification(tenant, recipient, NOON, ready_at=NOON + HOUR)
    given = [acceptance(item, f"key {i}") for i, item in enumerate([*items, later])]
    await store.ingest.known_recipients(tenant, ["u0", "u1"])
    now = NOON + 10
    await store.ingest.accept(given, now)
    await store.ingest.accept(given, now)
    await store.ingest.accept([acceptance(notification(tenant, recipient, NOON), "key 1")], NOON + 25 * HOUR)
    await store.recipients.put_suppression(Suppression(tenant, "u0@example.com", "bounce", NOON))
    await store.route.facts(items)
    done = (Position(GROUP_OF[NORMAL], NORMAL, 5),)
    decided = [routed(item, ready_at=(NOON + HOUR) * (i // 4)) for i, item in enumerate(items)]
    await store.route.decide(decided, now, done)
    await store.ingest.cancel(tenant, later.id, NOON, "caller")


async def _what_waits(store: SqliteStore) -> None:
    await store.due.next_due()
    await store.due.overdue(NOON + 1)
    await store.due.release_due(NOON + 1, 10)
    await store.due.parked()
    await store.due.release_parked("push", "normal", 1)
    await store.due.release_due(NOON + 2 * HOUR, 10)


async def _reading(store: SqliteStore, tenant: TenantNo, claim: Any) -> None:
    await store.log.position(GROUP_OF[PUSH], PUSH)
    await store.log.lags()
    await store.insights.story(tenant, claim.notification.id)
    await store.insights.list(ListQuery(tenant))
    await store.insights.list(ListQuery(tenant, user_id="u0", since=NOON))
    await store.insights.ledger(tenant, NOON, False)
    await store.insights.recent(NOON - HOUR, NOON + HOUR, 100)
    await store.log.oldest()
    await store.deliver.put_inbox([InboxItem(claim.notification.recipient, claim.delivery.id, "t", "a", "b", NOON)])
    await store.recipients.inbox(tenant, "u0", None, 10, True, NOON)
    await store.recipients.mark_read(tenant, "u0", [claim.delivery.id], True, NOON)
    await store.recipients.update_preferences(tenant, "u0", msgspec.msgpack.encode(Preferences()), NOON)
    await store.recipients.put_recipient(tenant, profile("u0"), NOON)
    await store.recipients.get_suppression(tenant, "a@example.com")
    await store.recipients.delete_suppression(tenant, "a@example.com")
    await store.recipients.delete_recipient(tenant, "u0")
    await store.catalogue.put_key(ApiKey("k", tenant, "acme", "test", (), b"", "", NOON))
    await store.catalogue.key("k")
    await store.catalogue.template(tenant, "greeting")
    await store.catalogue.change_breaker(BreakerRow("fcm", "push", version=1), 0)
    await store.catalogue.breakers()


def _news(claim: Any, kind: Any) -> NewsRow:
    detail = msgspec.msgpack.encode(Detail(attempt=1, news=kind))
    return NewsRow(claim.delivery.id, 1, 1, kind, NOON, detail)


def _scanned(plan: str) -> str | None:
    """The table that a line of a plan goes through from its first row on, though it grows."""
    words = plan.split()
    lawful = words[0] != "SCAN" or words[1] in SMALL or words[1] == "CONSTANT" or OPEN_ONLY in plan
    return None if lawful else words[1]


async def test_no_statement_scans_what_grows(store: SqliteStore, tmp_path: Path) -> None:
    statements = Statements()
    store.database.connection.exec_trace = statements
    store.insights._reader._connection.exec_trace = statements
    await _live(store)
    assert len(statements.found) > 80
    beside = apsw.Connection(str(tmp_path / "bellhouse.db"))
    scans = []
    for sql, bindings in statements.found.items():
        if sql.split()[0] in ("BEGIN", "COMMIT", "PRAGMA") or sql in FIRST_ROW:
            continue
        for *_, plan in beside.execute(f"EXPLAIN QUERY PLAN {sql}", bindings).fetchall():
            if _scanned(str(plan)) is not None or "TEMP B-TREE FOR ORDER" in str(plan):
                scans.append(f"{plan}: {sql}")
    beside.close()
    assert not scans, "\n".join(scans)


async def test_a_scan_is_found(store: SqliteStore) -> None:
    (row,) = store.database.rows("EXPLAIN QUERY PLAN SELECT * FROM notifications WHERE record = x''")
    assert _scanned(row[-1]) == "notifications"


async def test_open_dead_letters_are_found_without_those_that_were_dealt_with(store: SqliteStore) -> None:
    statements = Statements()
    store.database.connection.exec_trace = statements
    await store.dead_letters.dead_letters(DeadLetterFilter(reason="x"), None, 10)
    await store.dead_letters.depths()
    store.database.connection.exec_trace = None
    plans = [store.database.rows(f"EXPLAIN QUERY PLAN {sql}", given) for sql, given in statements.found.items()]
    assert [("open_dead_letters" in rows[0][-1]) for rows in plans] == [True, True]
