"""No statement on the way of a notification looks at more rows, or at more days, than it needs, however many are kept.

Every statement that a whole life of notifications runs is taken from the connections themselves, so that a new one is
looked at too. Each is then run as often as it takes PostgreSQL to settle on a plan, on a database with many days, and
its last run is judged by what it touched.
"""

import json
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.postgres_houses import PUSH, House, Street, again

from bellhouse.adapters.store.postgres import partitions
from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.partitions import PARTITIONED, lowest_id
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.adapters.store.tally import DAY_MS
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import RecipientNo, TenantNo
from bellhouse.domain.recipient import Preferences
from bellhouse.ports.store.confirm import NewsRow
from bellhouse.ports.store.dead_letters import DeadLetterFilter
from bellhouse.ports.store.deliver import Claim, DeadLetter, InboxItem, Retirement, Settlement, Suppression
from bellhouse.ports.store.errors import LeaseLost
from bellhouse.ports.store.insights import ListQuery
from bellhouse.ports.store.providers import BreakerRow
from bellhouse.testing.records import HOUR, NOON, acceptance, notification, outcome, profile, routed

DAYS = 34
ROWS = 400
"""Of each table and day, and a hundred times as many of what has no days."""
MOST = 200
"""Rows that a scan may look at: the batches here are of five."""

LAWFUL = {
    "intents": "one row a batch in flight",
    "early_news": "deliveries in flight that were overtaken by their news",
    "operator_acts": "those since a worker looked",
    "types": "read again only when a type changes",
    "templates": "read again only when a template changes",
    "tenants": "read again only when a tenant comes",
    "api_keys": "read again only when a key changes",
    "breakers": "one row a provider and channel",
    "versions": "one row a kind",
    "meta": "a handful of rows",
    "processes": "one row a process",
    "leases": "one row a lease",
    "ledger": "a row a tenant, day and state; read a few times a minute",
    "ledger_moves": "folded every other second",
    "ledger_closed": "a row a tenant, day and state",
    "outbox": "what the relay has not carried yet",
    "pg_class": "tables",
    "pg_inherits": "partitions",
}
LISTS = {queries("insights")[name] for name in ("newest", "newest_of_recipient")}
"""They go from day to day until they have enough."""
_DAY = re.compile(r"^(notifications|decisions|delivery_events)_\d{8}$")


class Statements:
    """What the connections of a house have run, each once, with the values of the first time."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Any, ...]] = {}

    def watch(self, house: House) -> None:
        database = house.database
        for name in ("transaction", "connection"):
            setattr(database, name, self._watched(getattr(database, name)))
        for name in ("rows", "row", "value", "run"):
            setattr(database, name, self._noted(getattr(database, name)))

    def _watched(self, opened: Any) -> Any:
        @asynccontextmanager
        async def watched() -> AsyncIterator[Connection]:
            async with opened() as connection:
                yield _Noting(connection, self.found)

        return watched

    def _noted(self, act: Any) -> Any:
        async def noted(sql: str, *values: Any) -> Any:
            self.found.setdefault(sql, values)
            return await act(sql, *values)

        return noted


class _Noting:
    def __init__(self, connection: Connection, found: dict[str, tuple[Any, ...]]) -> None:
        self._connection = connection
        self._found = found

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._connection, name)
        if name not in ("fetch", "fetchrow", "fetchval", "execute"):
            return act

        def noted(sql: str, *values: Any, **words: Any) -> Any:
            self._found.setdefault(sql, values)
            return act(sql, *values, **words)

        return noted


@pytest.fixture
async def street(database_url: str) -> AsyncIterator[Street]:
    street = Street(database_url)
    yield street
    await street.close()


@pytest.fixture
async def house(street: Street) -> House:
    house = await street.house()
    await street.accepted()
    await _furnish(house.database)
    return house


async def _furnish(database: Database) -> None:
    """Rows of many days, and many of everything else."""
    today = NOON // DAY_MS
    await partitions.ensure(database, range(today - DAYS, today + 8))
    many = range(100 * ROWS)
    record = msgspec.msgpack.encode(notification(TenantNo(7), RecipientNo(1)))
    async with database.connection() as connection:
        for day in range(today - DAYS, today + 1):
            ids = sorted(lowest_id(day)[:4] + os.urandom(12) for _ in range(ROWS))
            await _copy(connection, "notifications", [(i, 1, record) for i in ids], "id", "recipient", "record")
            await _copy(
                connection, "decisions", [(i, "planned", 1, b"x") for i in ids], "id", "state", "count", "record"
            )
            await _copy(
                connection,
                "delivery_events",
                [(i, 0, 0, "sent", "in_flight", 1, "worker", b"") for i in ids],
                *("id", "kind", "n", "state", "previous", "at", "source", "detail"),
            )
        keys = [os.urandom(16) for _ in many]
        await _copy(connection, "idempotency_keys", [(k, k, k[:8]) for k in keys], "key", "id", "fingerprint")
        await _copy(
            connection,
            "recipients",
            [(7, f"someone {i}", b"", 1) for i in many],
            *("tenant", "user_id", "profile", "updated_at"),
        )
        await _copy(
            connection,
            "suppressions",
            [(7, f"{i}@example.com", "bounce", 1, "") for i in many],
            *("tenant", "address", "reason", "at", "detail"),
        )
        await _copy(connection, "collapse_keys", [(i, "k", keys[i]) for i in many], "recipient", "collapse_key", "id")
        await _copy(
            connection,
            "due",
            [(NOON + 10**9 + i, keys[i], PUSH, 1, i % 2 == 0, b"x") for i in many],
            *("due_at", "id", "topic", "key", "parked", "record"),
        )
        await _copy(
            connection,
            "dead_letters",
            [(k, 7, "push", "", "t", "u", "r", "", 1, "discarded", 0, "", "", b"") for k in keys],
            *("id", "tenant", "channel", "provider", "type", "user_id", "reason", "code", "at", "state", "epoch"),
            *("by", "why", "record"),
        )
        await _copy(
            connection,
            "inbox",
            [(i + 10**6, k, 0, 0, b"") for i, k in enumerate(keys)],
            *("recipient", "id", "read_at", "expires_at", "record"),
        )
        await _copy(connection, "acceptances", [(NOON, 1, b"") for _ in range(ROWS * 10)], "at", "count", "keys")
        await connection.execute("ANALYZE")


async def _copy(connection: Connection, table: str, rows: Sequence[tuple[Any, ...]], *columns: str) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns)


async def _live(street: Street, house: House, other: House) -> None:
    """Do everything that the stages do, at least once."""
    tenant, recipient = street.tenant, street.recipients[0]
    claims = await _ways_in(street, house)
    known = await house.deliver.standings(claims)
    intent, _ = await house.deliver.begin(PUSH, claims[:3], known.as_of, NOON)
    news = [_news(claim) for claim in claims]
    await house.confirm.news(news)
    await _sent(house, claims, intent)
    await house.confirm.news(news)
    await house.confirm.recipients_of([claim.delivery.id for claim in claims])
    await house.confirm.every_tenant()
    await _taken_over(house, other, await street.planned(5))
    await _what_waits(house)
    ids = [claims[0].delivery.id]
    await house.dead_letters.dead_letters(DeadLetterFilter(), None, 10)
    await house.dead_letters.depths()
    await house.dead_letters.replay(ids, None, NOON, HOUR, "ops")
    await house.dead_letters.discard(ids, tenant, NOON, "ops", "why")
    for claim in claims:
        await house.ingest.cancel(tenant, claim.notification.id, NOON, "caller")
    await house.deliver.open_intents(PUSH)
    await house.deliver.put_inbox([InboxItem(recipient, claims[0].delivery.id, "t", "a", "b", NOON)])
    await _reading(house, street, claims[0])


async def _ways_in(street: Street, house: House) -> list[Claim]:
    tenant, recipient = street.tenant, street.recipients[0]
    items = [notification(tenant, recipient, NOON, collapse_key=f"k{i}") for i in range(5)]
    later = notification(tenant, recipient, NOON, ready_at=NOON + HOUR)
    given = [acceptance(item, f"key {i}") for i, item in enumerate([*items, later])]
    await house.ingest.known_recipients(tenant, ["u0", "u1", "nobody"])
    await house.ingest.accept(given, NOON)
    await house.ingest.accept([acceptance(notification(tenant, recipient, NOON), "key 1")], NOON)
    await house.recipients.put_suppression(Suppression(tenant, "u0@example.com", "bounce", NOON))
    await house.carried()
    await house.route.facts(items)
    decided = [routed(item, ready_at=(NOON + HOUR) * (i // 4)) for i, item in enumerate(items)]
    await house.route.decide(decided, NOON, ())
    await house.route.decide(decided, NOON, ())
    await house.ingest.cancel(tenant, later.id, NOON, "caller")
    await house.due.release_due(NOON + HOUR, 10)
    return list({claim.delivery.id: claim for claim in await house.polled()}.values())


async def _sent(house: House, claims: Sequence[Claim], intent: int) -> None:
    letter = DeadLetter(claims[0].delivery, claims[0].notification, "dead_lettered:attempts_exhausted", NOON)
    outcomes = [
        outcome(claims[0], "dead_lettered"),
        outcome(claims[1], "waiting", again_at=NOON + 1),
        outcome(claims[2], "waiting", again_at=NOON + HOUR, park=True),
        outcome(claims[3], "waiting", previous="waiting", again_at=NOON + HOUR, park=True),
    ]
    tenant = claims[0].notification.tenant
    retired = Retirement(claims[0].notification.recipient, "push:1", "gone")
    stop = Suppression(tenant, "a@example.com", "bounce", NOON)
    settlement = Settlement(outcomes, [letter], [retired], [stop], [intent])
    await house.deliver.settle(settlement)
    await house.deliver.settle(settlement)
    await house.confirm.follow_up([stop], [stop], [retired])


async def _taken_over(house: House, other: House, claims: Sequence[Claim]) -> None:
    known = await other.deliver.standings(claims)
    intent, _ = await other.deliver.begin(PUSH, claims, known.as_of, NOON)
    with pytest.raises(LeaseLost):
        await house.deliver.begin(PUSH, again(claims), known.as_of, NOON)
    await other.members.leave()
    await house.deliver.standings(again(claims))
    await house.deliver.settle(Settlement([outcome(claim, "unknown", again_at=NOON + HOUR) for claim in claims[:4]]))
    await other.deliver.settle(Settlement([outcome(claim, "sent") for claim in claims], intents=[intent]))


async def _what_waits(house: House) -> None:
    await house.due.next_due()
    await house.due.overdue(NOON + 1)
    await house.due.of(["normal"]).release_due(NOON, 10)
    await house.due.release_due(NOON + 1, 10)
    await house.due.parked()
    await house.due.release_parked("push", "normal", 1)
    await house.outbox.pending()
    await house.due.put_backlog(1, NOON)
    await house.due.backlog()
    await house.ingest.forget_keys(NOON, 100)


async def _reading(house: House, street: Street, claim: Claim) -> None:
    tenant = street.tenant
    await house.insights.story(tenant, claim.notification.id)
    await house.insights.list(ListQuery(tenant, limit=5))
    await house.insights.list(ListQuery(tenant, user_id="u0", since=NOON))
    await house.insights.ledger(tenant, NOON, False)
    await house.insights.recent(NOON - HOUR, NOON + HOUR, 50)
    await house.recipients.inbox(tenant, "u0", None, 10, True, NOON)
    await house.recipients.mark_read(tenant, "u0", [claim.delivery.id], True, NOON)
    await house.recipients.update_preferences(tenant, "u0", msgspec.msgpack.encode(Preferences()), NOON)
    await house.recipients.put_recipient(tenant, profile("u0"), NOON)
    await house.recipients.get_suppression(tenant, "a@example.com")
    await house.recipients.delete_suppression(tenant, "a@example.com")
    await house.recipients.delete_recipient(tenant, "u0")
    await house.catalogue.key("k")
    await house.catalogue.template(tenant, "greeting")
    await house.catalogue.change_breaker(BreakerRow("fcm", "push", version=1), 0)
    await house.catalogue.breakers()
    await house.members.renew(60.0)
    await house.members.members()
    await house.members.take("upkeep", 60.0)
    await house.members.release("upkeep")
    await house.upkeep.upkeep(NOON, 90)
    # Now some days are over.
    await house.upkeep.upkeep(NOON, DAYS - 4)


def _news(claim: Claim) -> NewsRow:
    detail = msgspec.msgpack.encode(Detail(attempt=1, news="delivered"))
    return NewsRow(claim.delivery.id, 1, 1, "delivered", NOON, detail)


# --- plans ---


async def _plans(connection: Connection, sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    """What a statement touches when it is run for the first and for the eighth time; everything is undone."""
    whole = connection.transaction()
    await whole.start()
    try:
        statement = await connection.prepare(sql)
        given = [_literal(value, kind.name) for value, kind in zip(values, statement.get_parameters(), strict=True)]
        asked = f"({', '.join(given)})" if given else ""
        execute = f'EXECUTE "{statement.get_name()}"{asked}'
        explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {execute}"
        first = await _undone(connection, connection.fetchval, explain)
        for _ in range(6):
            await _undone(connection, connection.execute, execute)
        return [json.loads(plan)[0]["Plan"] for plan in (first, await connection.fetchval(explain))]
    except asyncpg.UniqueViolationError:
        # What it inserts is there already, and it reads nothing.
        return []
    finally:
        await whole.rollback()


async def _undone(connection: Connection, act: Any, sql: str) -> Any:
    once = connection.transaction()
    await once.start()
    answer = await act(sql)
    await once.rollback()
    return answer


def _literal(value: Any, kind: str) -> str:
    """A value as SQL says it."""
    if isinstance(value, list | tuple):
        return f"ARRAY[{', '.join(_literal(each, kind.removesuffix('[]')) for each in value)}]::{kind}"
    match value:
        case None:
            said = "NULL"
        case bytes():
            said = f"'\\x{value.hex()}'"
        case str():
            said = "'" + value.replace("'", "''") + "'"
        case _:
            said = str(value)
    return f"({said})::{kind}"


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _faults(plan: dict[str, Any]) -> list[str]:
    """What a plan touched that it should not have."""
    faults = []
    days: dict[str, set[str]] = {table: set() for table in PARTITIONED}
    for node in _nodes(plan):
        table = node.get("Relation Name", "")
        loops = node.get("Actual Loops", 0)
        if not table or not loops or table in LAWFUL or "Scan" not in node["Node Type"]:
            continue
        day = _DAY.match(table)
        if day:
            days[day[1]].add(table)
        looked_at = loops * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        if looked_at > MOST:
            faults.append(f"{node['Node Type']} of {table} looks at {looked_at:.0f} rows")
    faults += [f"{len(found)} days of {table}" for table, found in days.items() if len(found) > 2]
    return faults


async def test_no_statement_looks_at_more_than_it_needs(street: Street, house: House) -> None:
    statements = Statements()
    statements.watch(house)
    await _live(street, house, await street.house())
    assert len(statements.found) > 80
    faults = []
    database = Database(house.database.config)
    await database.open()
    async with database.connection() as connection:
        for sql, values in statements.found.items():
            if sql not in LISTS and sql.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
                for turn, plan in zip(("first", "eighth"), await _plans(connection, sql, values), strict=False):
                    faults += [f"the {turn} time {fault}: {sql}" for fault in _faults(plan)]
    await database.close()
    assert not faults, "\n\n".join(faults)


async def test_a_statement_that_looks_at_too_much_is_found(street: Street, house: House) -> None:
    bad = [
        ("SELECT FROM due WHERE key = $1", (5,)),
        ("SELECT FROM notifications WHERE record = $1", (b"y",)),
        ("SELECT FROM unnest($1::bytea[]) AS asked (id) JOIN decisions USING (id)", ([b"x" * 16] * 50,)),
    ]
    async with house.database.connection() as connection:
        found = [[_faults(plan) for plan in await _plans(connection, sql, values)] for sql, values in bad]
    assert all(faults[0] for faults in found)
