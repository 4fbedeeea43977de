"""The operator's levers, his acts, and what waits under his brakes."""

from collections.abc import Sequence
from typing import Final, cast

from bellhouse.adapters.store.codec import decode_act, decode_lever, encode
from bellhouse.adapters.store.sqlite.database import Database, Transaction
from bellhouse.adapters.store.sqlite.due import append
from bellhouse.domain.levers import Act, Lever, LeverKind, Levers
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.levers import ActFilter, Held

_VERSION: Final = "SELECT value FROM meta WHERE name = 'levers'"


class SqliteLevers:
    """The LeverStore, AuditStore and HeldStore ports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- levers ---

    async def levers(self, known: Levers | None = None) -> Levers:
        version = int(self._database.rows(_VERSION)[0][0])
        if known is not None and known.version == version:
            return known
        with self._database.snapshot():
            version = int(self._database.rows(_VERSION)[0][0])
            rows = self._database.rows("SELECT record FROM levers ORDER BY kind, scope")
        return Levers(version, tuple(decode_lever(record) for (record,) in rows))

    async def change_lever(
        self, kind: LeverKind, scope: str, before: Lever | None, after: Lever | None, act: Act
    ) -> bool:
        with self._database.write() as transaction:
            found = transaction.run("SELECT record FROM levers WHERE kind = ? AND scope = ?", (kind, scope)).fetchall()
            if (decode_lever(found[0][0]) if found else None) != before:
                return False
            if after is None:
                transaction.run("DELETE FROM levers WHERE kind = ? AND scope = ?", (kind, scope))
            else:
                transaction.run("INSERT OR REPLACE INTO levers VALUES (?, ?, ?)", (kind, scope, encode(after)))
            transaction.run("UPDATE meta SET value = value + 1 WHERE name = 'levers'")
            _record(transaction, act)
        return True

    # --- acts ---

    async def record(self, act: Act) -> None:
        with self._database.write() as transaction:
            _record(transaction, act)

    async def acts(self, wanted: ActFilter, limit: int) -> Sequence[Act]:
        conditions, bindings = ["number < ?"], [2**62 if wanted.before is None else wanted.before]
        if wanted.act is not None:
            conditions.append("act = ?")
            bindings.append(wanted.act)  # type: ignore[arg-type]  # SQLite takes both
        if wanted.since is not None:
            conditions.append("at >= ?")
            bindings.append(wanted.since)
        sql = f"SELECT number, record FROM audit WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?"
        return [decode_act(record, number) for number, record in self._database.rows(sql, (*bindings, limit))]

    # --- what is held ---

    async def held(self) -> Sequence[Held]:
        found: list[Held] = []
        place = ("", "")
        while rows := self._database.rows(
            "SELECT scope, topic FROM held WHERE (scope, topic) > (?, ?) ORDER BY scope, topic LIMIT 1", place
        ):
            place = rows[0]
            channel, priority = place[1].split(".")[1:]
            found.append(Held(place[0], cast("Channel", channel), cast("Priority", priority)))
        return found

    async def release_held(self, held: Held, limit: int) -> int:
        where = (held.scope, f"deliveries.{held.channel}.{held.priority}")
        with self._database.write() as transaction:
            keys = transaction.run(
                "SELECT due_at, id FROM held WHERE scope = ? AND topic = ? ORDER BY id LIMIT ?", (*where, limit)
            ).fetchall()
            if keys:
                rows = transaction.many(
                    "SELECT due_at, id, topic, record FROM due WHERE due_at = ? AND id = ?", keys
                ).fetchall()
                append(transaction, rows)
                transaction.many("DELETE FROM due WHERE due_at = ? AND id = ?", keys)
                transaction.run("DELETE FROM held WHERE scope = ? AND topic = ? AND id <= ?", (*where, keys[-1][1]))
        return len(keys)


def _record(transaction: Transaction, act: Act) -> None:
    transaction.run("INSERT INTO audit (at, act, record) VALUES (?, ?, ?)", (act.at, act.act, encode(act)))
