"""What retention takes: days that are over, and what is left of them in the tables that have no days.

Everything here goes in pages of a few hundred rows, so that nobody waits long for it, and from where the round before
has stopped, so that a round costs the same however much is stored.
"""

from collections.abc import Sequence
from typing import Any, Final

from bellhouse.adapters.store.postgres import partitions
from bellhouse.adapters.store.postgres.database import Database
from bellhouse.adapters.store.postgres.deadletters import PostgresDeadLetters
from bellhouse.adapters.store.postgres.partitions import lowest_id
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.domain.ids import DeliveryId

_SQL: Final = queries("retention")
_PAGE: Final = 200
"""Rows, as `retention.sql` says."""
_PAGES: Final = 50
"""The most of one kind that a round takes."""
_BY: Final = "retention"
_WHY: Final = "its day is older than store.retention_days"


class Sweep:
    """Goes through a table page by page, and begins anew when it has come to the end."""

    def __init__(self, statement: str, start: tuple[Any, ...]) -> None:
        """`start` is below every key."""
        self._sql = _SQL[statement]
        self._start = start
        self._at = start

    async def page(self, database: Database, *values: Any) -> tuple[int, bool]:
        """Take one page; answers how many rows are gone, and whether this was the last page."""
        row = await database.row(self._sql, *values, *self._at)
        if row is None:
            self._at = self._start
            return 0, True
        *key, seen, gone = row
        is_last = seen < _PAGE
        self._at = self._start if is_last else tuple(key)
        return gone, is_last


class Retention:
    """Drops what is over. A process that takes this up from another may begin anywhere."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._letters = PostgresDeadLetters(database)
        self._said: set[int] = set()
        """Days that are known to be kept for what waits in them."""
        self._over: set[int] = set()
        """Days of which nothing waits, nor ever will again."""
        self._leaving: set[int] = set()
        """Those of them whose due rows are being deleted: all in one sweep, of which a large table has few a day."""
        self._bare: set[int] = set()
        """Those that have no due rows any more, and can be dropped."""
        self._of_due = Sweep("forget_due", (-1, b""))
        self._of_letters = Sweep("forget_letters", (b"",))
        self._of_inbox = Sweep("forget_inbox", (-1, b""))
        self._of_collapse_keys = Sweep("forget_collapse_keys", (-1, ""))

    async def round(self, now: int, before: int) -> list[str]:
        """Bring the end of the days before this one (since the epoch) nearer; answers what was done, in words."""
        async with self._database.connection() as connection:
            there = await partitions.days(connection)
        await self._trim(now, min([before, *there]))
        old = [day for day in there if day < before]
        # Another process may have dropped some of them meanwhile.
        for known in (self._said, self._over, self._leaving, self._bare):
            known.intersection_update(old)
        done = await self._end(old, now, before)
        await self._sweep_due()
        for day in sorted(self._bare):
            if await partitions.drop(self._database, day):
                self._bare.discard(day)
                done.append(f"dropped day {_name(day)}")
        return done

    async def _trim(self, now: int, oldest: int) -> None:
        """Delete what belongs to days before the oldest one, and inbox items whose time is over.

        A page of each table a round, and more of them as long as there is something to delete: what grows old faster
        than that is caught up with, and a table in which nothing has is hardly read.
        """
        low = lowest_id(oldest)
        for sweep, values in (
            (self._of_letters, (low,)),
            (self._of_inbox, (low, now)),
            (self._of_collapse_keys, (low,)),
        ):
            for _ in range(_PAGES):
                gone, is_last = await sweep.page(self._database, *values)
                if is_last or not gone:
                    break

    async def _end(self, old: Sequence[int], now: int, before: int) -> list[str]:
        """Find the days that are over. Their open dead letters are put away, as an operator would: nobody has dealt
        with them in all that time, and one of them would keep millions of rows."""
        known = self._over | self._leaving | self._bare
        asked = [day for day in old if day not in known]
        if not asked:
            return []
        waiting = await partitions.waiting(self._database, before)
        done = [
            f"kept day {_name(day)}, though it is older than store.retention_days: something in it still waits"
            for day in asked
            if day in waiting and day not in self._said
        ]
        self._said.update(waiting)
        pages = _PAGES
        for day in asked:
            if day in waiting:
                continue
            put_away, looked = await self._put_letters_away(day, now, pages)
            pages -= looked
            if put_away:
                done.append(f"discarded {put_away} open dead letters of day {_name(day)}: {_WHY}")
            # Letters and counters in one look: whoever sends a letter again moves it from the former to the latter.
            if not await partitions.pending(self._database, day):
                self._over.add(day)
            if not pages:
                break
        return done

    async def _put_letters_away(self, day: int, now: int, most: int) -> tuple[int, int]:
        """Discard open letters of a day; answers how many, and how many pages that were, of so many at most."""
        put_away = 0
        for looked in range(most):
            rows = await self._database.rows(_SQL["open_letters"], lowest_id(day), lowest_id(day + 1))
            if rows:
                ids = [DeliveryId(row[0]) for row in rows]
                put_away += await self._letters.discard(ids, None, now, _BY, _WHY)
            if len(rows) < _PAGE:
                return put_away, looked + 1
        return put_away, most

    async def _sweep_due(self) -> None:
        """Delete due rows of days that are over, before these are dropped and not meanwhile: the table is large, and
        all who write wait for a drop. A day of which nothing waits gets no new ones."""
        if not self._leaving:
            self._leaving, self._over = self._over, set()
        if not self._leaving:
            return
        days = sorted(self._leaving)
        low, high = [lowest_id(day) for day in days], [lowest_id(day + 1) for day in days]
        for _ in range(_PAGES):
            _, is_last = await self._of_due.page(self._database, low, high)
            if is_last:
                self._bare |= self._leaving
                self._leaving = set()
                break


def _name(day: int) -> str:
    return partitions.name_of("", day)[1:]
