"""The breakers of the distributed mode: their state in Redis, and what an operator forces in the durable store too."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

import msgspec

from bellhouse.adapters.cache.circuit_rows import Key, hash_of, key_of, read, texts_of, word, written
from bellhouse.adapters.cache.redis_link import Command, RedisLink
from bellhouse.ports.cache import CacheUnavailable
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.providers import BreakerRow, BreakerStore, Forced

REFRESH_S: Final = 0.1
FORCED_REFRESH_S: Final = 1.0

# Compared is the whole text, not its version: after a deletion versions begin anew.
_CHANGE: Final = """
local found = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if found ~= ARGV[2] and ARGV[4] ~= 'anyway' then
    return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class RedisBreakers:
    """A BreakerStore whose rows are in the hashes `circuit:<provider>:state`; who deletes a hash closes its breakers.

    What is forced is in another store, which is durable, and outweighs what Redis says: neither a deletion nor the
    loss of Redis lifts it. An answer of `breakers` is at most `refresh_s` old, and in what is forced at most a second;
    after a change that was lost it is of this moment. A row's version is this process's count of the changes that it
    has seen: it goes on where Redis has forgotten and begins again.

    While Redis is away nobody waits for it: `breakers` answers what was last known here, and `change_breaker` succeeds
    unless something has changed here, so that each process has breakers of its own. When Redis is back, what was
    changed meanwhile is written there, but not over something newer.

    Both calls raise StoreUnavailable where the durable store does: nobody would know what is forced.
    """

    def __init__(
        self,
        link: RedisLink,
        durable: BreakerStore,
        clock: Clock,
        providers: Iterable[str],
        refresh_s: float = REFRESH_S,
    ) -> None:
        """`providers`: whose breakers are read."""
        self._link = link
        self._durable = durable
        self._clock = clock
        self._providers = dict.fromkeys(providers)
        self._refresh_s = refresh_s
        self._texts: dict[Key, bytes] = {}
        """What Redis has."""
        self._forced: dict[Key, BreakerRow] = {}
        """What the durable store has."""
        self._unwritten: dict[Key, BreakerRow] = {}
        """What was changed here while Redis was away."""
        self._shown: dict[Key, BreakerRow] = {}
        """What follows from these three; whoever changes one of them calls `_show` before he lets others go on."""
        self._highest: dict[Key, int] = {}
        """The highest version that was ever shown."""
        self._seen_at = self._forced_seen_at = -inf
        self._away = False
        self._turn = asyncio.Lock()
        self._retrying: asyncio.Task[None] | None = None

    async def breakers(self) -> Sequence[BreakerRow]:
        """All breakers, at most `refresh_s` old."""
        if self._is_old():
            async with self._turn:
                if self._is_old():
                    await self._refresh()
        return list(self._shown.values())

    async def change_breaker(self, row: BreakerRow, expected_version: int) -> bool:
        """Compare and set: True when the row was at `expected_version` (0: absent) and is now `row`."""
        key = key_of(row)
        async with self._turn:
            self._providers.setdefault(row.provider)
            if self._version(key) != expected_version:
                await self._refresh()
            changed = self._version(key) == expected_version and await self._change(key, row)
        if not changed:
            self._seen_at = -inf
        return changed

    async def close(self) -> None:
        """Try no more to reach Redis; the link is its maker's to close. Calling it twice is lawful."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait([self._retrying])

    # --- taking in; who does and who changes has the turn ---

    def _is_old(self) -> bool:
        return self._clock.monotonic() >= self._seen_at + self._refresh_s

    async def _refresh(self) -> None:
        """Take in what both stores have; while Redis is away somebody else finds out whether it is back."""
        texts = await self._all_texts() if not self._away else None
        if texts is None:
            self._try_again()
            self._show(self._texts, await self._all_forced(at_once=False))
        else:
            self._drop_older_than(texts)
            self._show(texts, await self._all_forced(at_once=bool(_contradictions(texts, self._forced))))
            await self._tell()
        self._seen_at = self._clock.monotonic()

    def _try_again(self) -> None:
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        if await self._all_texts() is not None:
            self._away, self._seen_at = False, -inf

    async def _all_texts(self) -> dict[Key, bytes] | None:
        """What Redis has; None while it is away."""
        providers = list(self._providers)
        names = [hash_of(provider) for provider in providers]
        try:
            answers = await self._link.run([Command(name, ("HGETALL", name)) for name in names]) if names else []
        except CacheUnavailable:
            self._away = True
            return None
        return {
            (provider, channel): text
            for provider, answer in zip(providers, answers, strict=True)
            for channel, text in texts_of(answer).items()
        }

    async def _all_forced(self, at_once: bool) -> dict[Key, BreakerRow]:
        """What is forced; asked for now and then, and at once where Redis says something else of it."""
        now = self._clock.monotonic()
        if now < self._forced_seen_at + FORCED_REFRESH_S and not at_once:
            return self._forced
        rows = await self._durable.breakers()
        self._forced_seen_at = now
        return {key_of(row): row for row in rows}

    def _drop_older_than(self, texts: Mapping[Key, bytes]) -> None:
        """Of what was changed here alone, keep what is newer than what Redis has."""
        for key, row in list(self._unwritten.items()):
            there = read(key, texts.get(key))
            if there is not None and there.changed_at > row.changed_at:
                del self._unwritten[key]

    # --- changing ---

    async def _change(self, key: Key, row: BreakerRow) -> bool:
        over = self._texts.get(key, b"")
        if (row.forced, word(self._forced.get(key))) == ("none", "none"):
            changed = await self._set(key, row, over)
        else:
            # The durable store decides who is first to speak; Redis is told, whatever it has.
            changed = await self._force(key, row) and await self._set(key, row, None)
        if changed:
            self._shown[key] = row
            self._highest[key] = max(row.version, self._highest.get(key, 0))
        return changed

    async def _force(self, key: Key, row: BreakerRow) -> bool:
        """Write an operator's word where it is safe; False where another one came first."""
        version = self._forced[key].version if key in self._forced else 0
        durable = msgspec.structs.replace(row, version=version + 1)
        if await self._durable.change_breaker(durable, version):
            self._show(self._texts, {**self._forced, key: durable})
            return True
        self._forced_seen_at = -inf
        return False

    async def _set(self, key: Key, row: BreakerRow, over: bytes | None) -> bool:
        """Write a row over this text and no other (None is any); while Redis is away, keep it here."""
        name, text = hash_of(row.provider), written(row)
        mode = "anyway" if over is None else ""
        try:
            if self._away:
                raise CacheUnavailable
            (changed,) = await self._link.run(
                [Command(name, ("EVAL", _CHANGE, 1, name, row.channel, over or b"", text, mode))]
            )
        except CacheUnavailable:
            self._away = True
            self._unwritten[key] = row
            return True
        if changed:
            self._texts[key] = text
            self._unwritten.pop(key, None)
        return bool(changed)

    async def _tell(self) -> None:
        """Write what was changed here while Redis was away, and what is forced where Redis says something else."""
        rows = {key: self._shown[key] for key in _contradictions(self._texts, self._forced) if key in self._shown}
        for key, row in (self._unwritten | rows).items():
            await self._set(key, row, self._texts.get(key, b""))

    # --- showing ---

    def _version(self, key: Key) -> int:
        row = self._shown.get(key)
        return 0 if row is None else row.version

    def _show(self, texts: dict[Key, bytes], forced: dict[Key, BreakerRow]) -> None:
        self._texts, self._forced = texts, forced
        for key in texts.keys() | forced.keys() | self._unwritten.keys() | self._shown.keys():
            row, shown = self._merged(key), self._shown.get(key)
            if row is None:
                self._shown.pop(key, None)
            elif shown is None or row != msgspec.structs.replace(shown, version=row.version):
                version = self._highest[key] = max(row.version, self._highest.get(key, 0) + 1)
                self._shown[key] = msgspec.structs.replace(row, version=version)

    def _merged(self, key: Key) -> BreakerRow | None:
        durable = self._forced.get(key)
        if word(durable) != "none":
            return durable
        row = self._unwritten.get(key) or read(key, self._texts.get(key))
        # A word that the durable store does not know was taken back, and Redis has not been told.
        return row if word(row) == "none" else durable


def _contradictions(texts: Mapping[Key, bytes], forced: Mapping[Key, BreakerRow]) -> list[Key]:
    """The breakers of which Redis says something else to be forced than the durable store."""
    said: dict[Key, Forced] = {key: word(read(key, text)) for key, text in texts.items()}
    return [key for key in texts.keys() | forced.keys() if said.get(key, "none") != word(forced.get(key))]
