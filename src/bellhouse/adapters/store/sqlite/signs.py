"""Signs of life, in the file."""

from collections.abc import Mapping, Sequence
from typing import Final

from bellhouse.adapters.store.signs import END, PREFIX, name_of, signs_of
from bellhouse.adapters.store.sqlite.database import Database
from bellhouse.ports.store.providers import Sign

_SIGNS: Final = "SELECT name, value FROM meta WHERE name >= ? AND name < ?"
_PUT: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET"


class SqliteSigns:
    """The SignStore port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note_accepted(self, counts: Mapping[str, int], since: int) -> None:
        with self._database.write() as transaction:
            rows = transaction.run(
                "SELECT name FROM meta WHERE name >= ? AND name < ? AND value >= ?", (PREFIX, END, since)
            )
            heard = {row[0] for row in rows.fetchall()}
            counts = {who: count for who, count in counts.items() if name_of(who, "heard") not in heard}
            transaction.many(
                f"{_PUT} value = value + excluded.value",
                [(name_of(subject, "accepted"), count) for subject, count in counts.items()],
            )
            transaction.many(
                f"{_PUT} value = excluded.value WHERE value = 0",
                [(name_of(subject, "since"), since) for subject in counts],
            )

    async def note_heard(self, subjects: Sequence[str], now: int) -> None:
        fields = {"heard": now, "accepted": 0, "since": 0}
        with self._database.write() as transaction:
            transaction.many(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [(name_of(subject, field), value) for subject in subjects for field, value in fields.items()],
            )

    async def signs(self) -> Mapping[str, Sign]:
        rows = self._database.rows(_SIGNS, (PREFIX, END))
        return signs_of((row[0], row[1]) for row in rows)
