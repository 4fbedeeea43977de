"""Idempotency keys over 24 h: small segments in the order of time, and a filter in memory over the closed ones.

A unique index over a day of keys is a random b-tree: it dirties a page for nearly every row. So keys go to the
open segment, which is small, and the closed ones are asked only where a Bloom filter says "perhaps" (one in a
thousand for a key that is new). The filter is rebuilt from the file at the start; it can only cost time, never
truth: a key that it lets through wrongly does not exist.
"""

from collections.abc import Sequence
from typing import Final

from rbloom import Bloom

from bellhouse.adapters.store.sqlite.database import Database, Transaction
from bellhouse.domain.ids import made_at

SEGMENT: Final = 8_000
"""Notifications a segment. A commit of 300 dirties most pages of a segment's two b-trees, so a smaller segment costs
less; what it costs a recipient's list is one look-up more for each (docs/adr/0003)."""

KEY_LIFE_MS: Final = 86_400_000

_GENERATION: Final = 1_000_000
_ERROR_RATE: Final = 0.001
_FIND: Final = "SELECT id, fingerprint FROM idempotency_keys WHERE segment = ? AND key = ?"


class _Generation:
    """The filter over about a million keys of consecutive segments."""

    __slots__ = ("count", "first", "last", "seen", "until")

    def __init__(self, first: int) -> None:
        self.seen = Bloom(_GENERATION, _ERROR_RATE)
        self.first = first
        self.last = first
        self.count = 0
        self.until = 0
        """Receipt of the newest key inside (ms since the epoch)."""


class KeyFilter:
    """Which keys of the last 24 h may exist, and where."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._generations: list[_Generation] = []
        self._loaded = -1
        """The `accepted` count up to which every key is in a filter."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been taken in yet."""
        return self._loaded < 0

    def catch_up(self, accepted: int, now: int) -> None:
        """Take in what another process, or an earlier one, has inserted. Call it inside the write transaction,
        and at the start before it as well."""
        if self._loaded == accepted:
            return
        first = max(0, self._loaded) // SEGMENT
        if self._loaded < 0:
            first = self._oldest_living(accepted // SEGMENT, now)
        for segment in range(first, accepted // SEGMENT + 1):
            rows = self._database.rows("SELECT key, id FROM idempotency_keys WHERE segment = ?", (segment,))
            self._take(segment, [row[0] for row in rows], max((made_at(row[1]) for row in rows), default=0))
        self._loaded = accepted

    def _oldest_living(self, newest: int, now: int) -> int:
        segment = newest
        while segment > 0:
            row = self._database.rows("SELECT id FROM idempotency_keys WHERE segment = ? LIMIT 1", (segment - 1,))
            segment -= 1
            if row and made_at(row[0][0]) < now - 2 * KEY_LIFE_MS:
                # Any row of a segment may be its oldest: only what lies before it is surely older than this one.
                break
        return segment

    def _take(self, segment: int, keys: Sequence[bytes], until: int) -> None:
        if not keys:
            return
        if not self._generations or self._generations[-1].count >= _GENERATION:
            self._generations.append(_Generation(segment))
        generation = self._generations[-1]
        generation.seen.update(keys)
        generation.count += len(keys)
        generation.last = segment
        generation.until = max(generation.until, until)

    def inserted(self, accepted: int, fresh: int, segment: int, keys: Sequence[bytes], now: int) -> None:
        """Note what this process has just inserted."""
        self._take(segment, keys, now)
        self._loaded = accepted + fresh
        while self._generations and self._generations[0].until < now - KEY_LIFE_MS:
            self._generations.pop(0)

    def suspects(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` that may be in use; of new ones, about one in a thousand."""
        return {key for generation in self._generations for key in keys if key in generation.seen}

    def find_closed(
        self, transaction: Transaction, key: bytes, open_segment: int, now: int
    ) -> tuple[bytes, bytes] | None:
        """The living notification and fingerprint of a key in a closed segment; a repeat comes soon as a rule, so the
        newest are asked first."""
        for generation in reversed(self._generations):
            if key not in generation.seen:
                continue
            for segment in range(min(generation.last, open_segment - 1), generation.first - 1, -1):
                found = transaction.run(_FIND, (segment, key)).fetchall()
                if found and made_at(found[0][0]) > now - KEY_LIFE_MS:
                    return found[0][0], found[0][1]
        return None
