"""What row shapes and ways of writing cost on PostgreSQL: CPU and WAL per notification, one alternative after another.

`python -m benchmarks.shapes [--json] [--only ids,keys,...] [--count 60000] [--stored 2000000] [--set name=value]`

It starts its own PostgreSQL, with fsync on and autovacuum off. Batches are of 300 notifications of about 350 bytes,
written by asyncpg over one connection. "cold" begins right after a checkpoint, when the first change of each page
writes the whole page to the WAL; "warm" follows it. CPU figures are medians of five slices, PostgreSQL's are those of
all its processes. What they decided is in docs/adr/0011-postgresql-rows.md.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from uuid import UUID

import asyncpg
import msgspec
import uvloop

from bellhouse.engines.postgres import Postgres
from benchmarks.postgres_bench import RECIPIENTS, SETTINGS, SIZE, Act, Batch, Bench, Measured, Prepared, connect


async def ids(bench: Bench) -> None:
    """Ids and keys as bytea, as uuid whose bytes pass through, and as UUID objects."""
    for kind, sent in (("bytea", bytes), ("uuid", bytes), ("uuid", _uuid)):
        await bench.ddl("DROP TABLE IF EXISTS k", f"CREATE TABLE k (key {kind} PRIMARY KEY, id {kind} NOT NULL)")
        [conn] = await bench.connections(1)
        if sent is _uuid:
            await conn.reset_type_codec("uuid", schema="pg_catalog")
        insert = await conn.prepare(f"INSERT INTO k SELECT * FROM unnest($1::{kind}[], $2::{kind}[]) RETURNING id")

        async def act(b: Batch, insert: Prepared = insert, sent: Callable[[bytes], object] = sent) -> None:
            await insert.fetch([sent(key) for key in b.keys], [sent(each) for each in b.ids])

        await bench.both("ids", f"{kind}, from {'UUID objects' if sent is _uuid else 'bytes'}", act)
        await conn.close()


_KEYED = "INSERT INTO k SELECT key, id, fingerprint FROM {} ON CONFLICT DO NOTHING RETURNING id"
_REST = (
    " written AS (INSERT INTO n SELECT id, recipient, record FROM {} JOIN keyed USING (id)),"
    " told AS (INSERT INTO o (packed) SELECT string_agg(uuid_send(id), ''::bytea) FROM keyed) SELECT id FROM keyed"
)
_COLUMNS = ("key", "id", "fingerprint", "recipient", "record")
ONE_STATEMENT = (
    "WITH u AS MATERIALIZED (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int8[], $5::bytea[])"
    f" AS u({', '.join(_COLUMNS)})), keyed AS ({_KEYED.format('u')}),{_REST.format('u')}"
)


async def _ingest_tables(bench: Bench) -> None:
    await bench.notifications()
    await bench.keys()
    await bench.outbox("PLAIN")


async def ingest(bench: Bench) -> None:
    """Keys, notifications and an outbox row, in one transaction."""
    await _ingest_tables(bench)
    one = await bench.conn.prepare(ONE_STATEMENT)
    await bench.both("ingest", "one statement", lambda b: one.fetch(*b.columns))

    await _ingest_tables(bench)
    keys = await bench.conn.prepare(
        _KEYED.format("unnest($1::uuid[], $2::uuid[], $3::int8[]) AS u(key, id, fingerprint)")
    )
    tell = await bench.conn.prepare("INSERT INTO o (packed) VALUES ($1)")

    async def keys_then_copy(b: Batch) -> None:
        async with bench.conn.transaction():
            won = {row[0] for row in await keys.fetch(*b.columns[:3])}
            await bench.copy("n", ("id", "recipient", "record"), [row for row in b.rows if row[0] in won])
            await tell.fetch(b"".join(b.ids))

    await bench.both("ingest", "keys by UNNEST, notifications by COPY", keys_then_copy)

    await _ingest_tables(bench)
    await bench.conn.execute(
        "CREATE TEMP TABLE t (key uuid, id uuid, fingerprint int8, recipient int8, record bytea) ON COMMIT DELETE ROWS"
    )
    move = await bench.conn.prepare(f"WITH keyed AS ({_KEYED.format('t')}),{_REST.format('t')}")

    async def by_temporary(b: Batch) -> None:
        async with bench.conn.transaction():
            await bench.copy("t", _COLUMNS, list(zip(*b.columns, strict=True)))
            await move.fetch()

    await bench.both("ingest", "COPY to a temporary table, one statement", by_temporary)

    await bench.notifications()
    await bench.both("ingest", "notifications alone, by COPY", bench.write)
    await bench.notifications()
    plain = await bench.conn.prepare("INSERT INTO n SELECT * FROM unnest($1::uuid[], $2::int8[], $3::bytea[])")
    await bench.both("ingest", "notifications alone, by UNNEST", lambda b: plain.fetch(b.ids, b.recipients, b.records))


async def outbox(bench: Bench) -> None:
    """What the outbox adds to the notifications, and what the relay does with it: claim, read, delete."""
    await bench.ddl("DROP TABLE IF EXISTS o", "CREATE TABLE o (id uuid PRIMARY KEY, record bytea NOT NULL)")
    take = await bench.conn.prepare(
        f"DELETE FROM o WHERE id = ANY (ARRAY(SELECT id FROM o ORDER BY id LIMIT {SIZE} FOR UPDATE SKIP LOCKED))"
        " RETURNING id, record"
    )
    await _relayed(
        bench,
        "a row each, the record again",
        lambda b: bench.copy("o", ("id", "record"), list(zip(b.ids, b.records, strict=True))),
        lambda _: take.fetch(),
    )
    for storage, name in (("EXTERNAL", "packed records"), ("EXTENDED", "packed records, compressed")):
        await bench.outbox(storage)
        await _relayed(bench, name, *await _packed(bench, lambda b: msgspec.msgpack.encode(b.records), None))
    for found, name in (
        ("= ANY ($1::uuid[])", "by = ANY"),
        ("BETWEEN ($1::uuid[])[1] AND ($1::uuid[])[300]", "a range"),
    ):
        await bench.outbox("PLAIN")
        await bench.notifications()
        read = await bench.conn.prepare(f"SELECT id, record FROM n WHERE id {found}")
        await _relayed(bench, f"packed ids, read {name}", *await _packed(bench, lambda b: b"".join(b.ids), read))


async def _packed(bench: Bench, pack: Callable[[Batch], bytes], read: Prepared | None) -> tuple[Act, Act]:
    tell = await bench.conn.prepare("INSERT INTO o (packed) VALUES ($1)")
    claim = await bench.conn.prepare("SELECT seq, packed FROM o ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED")
    drop = await bench.conn.prepare("DELETE FROM o WHERE seq = $1")

    async def take(_: Batch) -> None:
        [(seq, packed)] = await claim.fetch()
        if read is None:
            msgspec.msgpack.decode(packed)
        else:
            await read.fetch([packed[i : i + 16] for i in range(0, len(packed), 16)])
        await drop.fetch(seq)

    return (lambda b: tell.fetch(pack(b))), take


async def _relayed(bench: Bench, name: str, put: Act, take: Act) -> None:
    await bench.notifications()
    batches = bench.batches()

    async def stored(b: Batch) -> None:
        async with bench.conn.transaction():
            await bench.write(b)
            await put(b)

    async def relayed(b: Batch) -> None:
        async with bench.conn.transaction():
            await take(b)

    await bench.measure("outbox", f"{name}: notifications with it", stored, batches)
    await bench.measure("outbox", f"{name}: relay", relayed, batches)


async def lists(bench: Bench) -> None:
    """The list of a recipient's notifications, with many stored: what its index costs, and what a list costs."""
    for index in ("", "(recipient, id)", "(recipient)", "USING hash (recipient)"):
        await bench.notifications()
        if index:
            await bench.ddl(f"CREATE INDEX ON n {index}")
        await bench.ddl(
            f"INSERT INTO n SELECT uuidv7(), (random() * {RECIPIENTS})::int8, decode(repeat('ab', 350), 'hex')"
            f" FROM generate_series(1, {bench.stored})",
            "VACUUM ANALYZE n",
        )
        name = f"index {index.lower()}" if index else "no index"
        await bench.both("lists", f"{name}, {bench.stored} stored", bench.write)
        if index:
            # Without the fence the planner may walk the primary key backwards until it has found 50 of them.
            read = await bench.conn.prepare(
                "WITH mine AS MATERIALIZED (SELECT id, record FROM n WHERE recipient = $1)"
                " SELECT * FROM mine ORDER BY id DESC LIMIT 50"
            )
            await bench.measure(
                "lists",
                f"{name}: one list",
                _first_list(read),
                bench.batches(900, 1),
                per_batch=1,
            )
    await _list_by_batch(bench)


def _first_list(read: Prepared) -> Act:
    return lambda b: read.fetch(b.recipients[0])


async def _list_by_batch(bench: Bench) -> None:
    await bench.notifications()
    arrays = f"ARRAY(SELECT (random() * {RECIPIENTS})::int4 + 0 * batch FROM generate_series(1, {SIZE}))"
    await bench.ddl(
        "DROP TABLE IF EXISTS l",
        "CREATE TABLE l (first uuid PRIMARY KEY, recipients int4[] NOT NULL)",
        "CREATE INDEX arrays ON l USING gin (recipients)",
        f"INSERT INTO l SELECT uuidv7(), {arrays} FROM generate_series(1, {bench.stored // SIZE}) batch",
        "VACUUM ANALYZE l",
    )
    note = await bench.conn.prepare("INSERT INTO l VALUES ($1, $2)")

    async def with_array(b: Batch) -> None:
        async with bench.conn.transaction():
            await bench.write(b)
            await note.fetch(b.ids[0], b.recipients)

    batches = bench.batches()
    await bench.measure("lists", f"GIN over a batch's recipients, {bench.stored} stored", with_array, batches)
    merge = "SELECT gin_clean_pending_list('arrays')"
    await bench.measure(
        "lists", "and its pending list merged", lambda _: bench.conn.execute(merge), batches[:1], per_batch=bench.count
    )


_STORED_KEYS = "INSERT INTO {} SELECT gen_random_uuid(), uuidv7(), 1 FROM generate_series(1, {})"
_INSERT_KEYS = (
    "INSERT INTO k SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int8[]) AS u(key, id, fingerprint) {}"
    " ON CONFLICT DO NOTHING RETURNING id"
)


async def keys(bench: Bench) -> None:
    """Idempotency keys with none and with many stored, and three ways to forget them."""
    for partitions in (1, 16):
        await bench.keys(partitions)
        await bench.both("keys", f"{partitions} partitions, none stored", await _insert_keys(bench))
        await bench.ddl(_STORED_KEYS.format("k", bench.stored), "VACUUM ANALYZE k")
        await bench.both("keys", f"{partitions} partitions, {bench.stored} stored", await _insert_keys(bench))
        await _forget_by_keys(bench)
    await _forget_by_index(bench)
    await _forget_by_generation(bench)


async def _insert_keys(bench: Bench, condition: str = "") -> Act:
    insert = await bench.conn.prepare(_INSERT_KEYS.format(condition))
    return lambda b: insert.fetch(*b.columns[:3])


async def _forget_by_keys(bench: Bench) -> None:
    batches = bench.batches()
    await bench.ddl("DROP TABLE IF EXISTS a", "CREATE TABLE a (first uuid PRIMARY KEY, keys bytea NOT NULL)")
    note = await bench.conn.prepare("INSERT INTO a VALUES ($1, $2)")
    insert = await _insert_keys(bench)

    async def with_note(b: Batch) -> None:
        async with bench.conn.transaction():
            await insert(b)
            await note.fetch(b.ids[0], b"".join(b.keys))

    await bench.measure("keys", "and a row a batch with its keys packed", with_note, batches)
    half = len(batches) // 2
    # An array of keys is looked up in every partition; what is joined to it, in its own one only.
    by_any = await bench.conn.prepare("DELETE FROM k WHERE key = ANY ($1::uuid[])")
    await bench.measure("keys", "forgotten by these, = ANY", lambda b: by_any.fetch(b.keys), batches[:half])
    joined = await bench.conn.prepare("DELETE FROM k USING unnest($1::uuid[]) AS gone(key) WHERE k.key = gone.key")
    await bench.measure("keys", "forgotten by these, joined", lambda b: joined.fetch(b.keys), batches[half:])


async def _forget_by_index(bench: Bench) -> None:
    await bench.ddl("CREATE INDEX ON k (id)", "VACUUM ANALYZE k")
    batches = bench.batches()
    await bench.measure("keys", "with an index on id", await _insert_keys(bench), batches)
    delete = await bench.conn.prepare("DELETE FROM k WHERE id BETWEEN $1 AND $2")
    await bench.measure("keys", "forgotten by it", lambda b: delete.fetch(b.ids[0], b.ids[-1]), batches)
    # Workers of its own would take the CPU they used with them.
    clean = "VACUUM (INDEX_CLEANUP ON, PARALLEL 0) k"
    await bench.measure(
        "keys", "vacuum of these", lambda _: bench.conn.execute(clean), batches[:1], per_batch=bench.count
    )


async def _forget_by_generation(bench: Bench) -> None:
    await bench.keys(1)
    await bench.ddl(
        "DROP TABLE IF EXISTS older",
        "CREATE TABLE older (key uuid PRIMARY KEY, id uuid NOT NULL, fingerprint int8 NOT NULL)",
        _STORED_KEYS.format("older", bench.stored),
        "VACUUM ANALYZE older",
    )
    probing = await _insert_keys(bench, "WHERE NOT EXISTS (SELECT FROM older WHERE older.key = u.key)")
    await bench.both("keys", "two generations, the older probed", probing)


async def events(bench: Bench) -> None:
    """Outcome events: by COPY, by UNNEST, with ON CONFLICT, and packed."""
    columns = ("id", "kind", "n", "state", "at", "detail")
    table = "id uuid, kind int2, n int8, state int2, at int8, detail bytea NOT NULL, PRIMARY KEY (id, kind, n)"
    detail = [msgspec.msgpack.encode(["fcm", "projects/x/messages/0:" + os.urandom(8).hex(), 0, 123])] * SIZE
    await bench.by_day("e", table)
    await bench.both(
        "events",
        "by COPY",
        lambda b: bench.copy("e", columns, [(i, 0, 1, 3, 1, d) for i, d in zip(b.ids, detail, strict=True)]),
    )
    unnest = (
        "INSERT INTO e SELECT * FROM unnest($1::uuid[], $2::int2[], $3::int8[], $4::int2[], $5::int8[], $6::bytea[])"
    )
    zeros, ones = [0] * SIZE, [1] * SIZE
    for tail in ("", " ON CONFLICT DO NOTHING", " ON CONFLICT DO NOTHING RETURNING id"):
        await bench.by_day("e", table)
        put = await bench.conn.prepare(unnest + tail)

        async def act(b: Batch, put: Prepared = put) -> None:
            await put.fetch(b.ids, zeros, ones, ones, ones, detail)

        await bench.both("events", f"by UNNEST{tail.lower()}", act)
    await bench.ddl("DROP TABLE e", "CREATE TABLE e (first uuid PRIMARY KEY, packed bytea STORAGE EXTERNAL NOT NULL)")
    pack = await bench.conn.prepare("INSERT INTO e VALUES ($1, $2)")
    await bench.both(
        "events",
        "packed, a row a batch",
        lambda b: pack.fetch(b.ids[0], msgspec.msgpack.encode(list(zip(b.ids, zeros, ones, detail, strict=True)))),
    )


async def intents(bench: Bench) -> None:
    """The note of a batch that is about to be sent."""
    await bench.ddl(
        "DROP TABLE IF EXISTS i",
        "CREATE TABLE i (intent int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, deliveries bytea NOT NULL)",
    )
    begin = await bench.conn.prepare("INSERT INTO i (deliveries) VALUES ($1) RETURNING intent")
    end = await bench.conn.prepare("DELETE FROM i WHERE intent = ANY ($1::int8[])")

    async def intent(b: Batch) -> None:
        number = await begin.fetchval(os.urandom(20 * len(b.ids)))
        await end.fetch([number])

    await bench.measure("intents", "a row a batch, inserted and deleted, two commits", intent, bench.batches())


async def ledger(bench: Bench) -> None:
    """Counters that four connections add to at once, each in the transaction of 300 rows."""
    add = (
        "INSERT INTO g SELECT s, {slot}, by FROM unnest($1::int2[], $2::int8[]) AS t(s, by) ORDER BY s"
        " ON CONFLICT (state, slot) DO UPDATE SET count = g.count + excluded.count"
    )
    update = (
        "UPDATE g SET count = count + by FROM unnest($1::int2[], $2::int8[]) AS t(s, by) WHERE state = s AND slot = 0"
    )
    insert = "INSERT INTO d SELECT * FROM unnest($1::int2[], $2::int8[])"
    conns = await bench.connections(4)
    for name, statements in (
        ("shared rows, UPDATE", [update] * 4),
        ("shared rows, upsert in their order", [add.format(slot=0)] * 4),
        ("a row for each process, upsert", [add.format(slot=slot) for slot in range(4)]),
        ("inserted differences", [insert] * 4),
    ):
        await bench.ddl(
            "DROP TABLE IF EXISTS g, d",
            "CREATE TABLE g (state int2, slot int2, count int8, PRIMARY KEY (state, slot)) WITH (fillfactor = 20)",
            "CREATE TABLE d (state int2, count int8)",
            "INSERT INTO g SELECT s, slot, 0 FROM generate_series(1, 8) s, generate_series(0, 3) slot",
        )
        await bench.notifications()
        workers = [await _counting(conn, sql) for conn, sql in zip(conns, statements, strict=True)]
        await bench.side_by_side("ledger", name, workers, bench.batches())
    for conn in conns:
        await conn.close()


async def _counting(conn: asyncpg.Connection, sql: str) -> Act:
    count = await conn.prepare(sql)

    async def act(b: Batch) -> None:
        async with conn.transaction():
            await conn.copy_records_to_table("n", columns=("id", "recipient", "record"), records=b.rows)
            await count.fetch([1, 3, 5], [-len(b.ids), len(b.ids), 1])

    return act


def _whole(statement: Prepared) -> Act:
    return lambda b: statement.fetch(*b.columns)


async def commits(bench: Bench) -> None:
    """The ingest statement over one to eight connections, in batches of one to 300."""
    for connections in (1, 2, 4, 8):
        conns = await bench.connections(connections)
        for size, count in ((1, 1_500), (8, 8_000), (64, 25_000), (SIZE, 30_000)):
            await _ingest_tables(bench)
            statements = [await conn.prepare(ONE_STATEMENT) for conn in conns]
            workers: list[Act] = [_whole(one) for one in statements]
            name = f"{connections} connections, batches of {size}"
            await bench.side_by_side("commits", name, workers, bench.batches(count * connections, size))
        for conn in conns:
            await conn.close()


def _uuid(value: bytes) -> UUID:
    return UUID(bytes=value)


GROUPS = {act.__name__: act for act in (ids, ingest, outbox, lists, keys, events, intents, ledger, commits)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON list at the end instead of lines")
    parser.add_argument("--only", default=",".join(GROUPS), help="some of: %(default)s")
    parser.add_argument("--count", type=int, default=60_000, help="notifications per measurement (%(default)s)")
    parser.add_argument("--stored", type=int, default=2_000_000, help="rows stored before (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of PostgreSQL")
    arguments = parser.parse_args()
    if unknown := set(arguments.only.split(",")) - set(GROUPS):
        parser.error(f"--only knows {', '.join(GROUPS)}, not {', '.join(sorted(unknown))}")
    return arguments


async def _measured(server: Postgres, arguments: argparse.Namespace) -> list[Measured]:
    bench = Bench(
        server, await connect(server), await connect(server), arguments.count, arguments.stored, not arguments.json
    )
    for name in arguments.only.split(","):
        await GROUPS[name](bench)
    return bench.results


def main() -> None:
    """Measure what was asked for."""
    arguments = _arguments()
    settings = {**SETTINGS, **dict(each.split("=", 1) for each in arguments.set)}
    if not arguments.json:
        print(f"{'':67} client server    WAL       rate     p99")
    with Postgres(settings=settings) as server:
        results = uvloop.run(_measured(server, arguments))
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(result) for result in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
