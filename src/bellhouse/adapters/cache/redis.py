"""The cache of the distributed mode: Redis or Valkey, alone or a cluster."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any, Final

from bellhouse.adapters.cache.redis_ear import Ear, Listener
from bellhouse.adapters.cache.redis_link import Command, RedisConfig, RedisLink, Word
from bellhouse.ports.cache import CacheUnavailable

__all__ = ["RedisCache", "RedisConfig", "RedisLink", "RedisSubscription"]

_LONGEST_S: Final = 10 * 365 * 86_400
_IDLE_S: Final = 15.0
"""After so long a silence a listening connection is asked whether it still hears."""

# Scripts go out as text: it is small beside a batch's keys, and a Redis that was started anew knows none by its hash.
_PUT: Final = """
for i, key in ipairs(KEYS) do
    redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1])
end
"""
_ADD: Final = """
local new = {}
for i, key in ipairs(KEYS) do
    new[i] = redis.call('SET', key, ARGV[i + 1], 'NX', 'PX', ARGV[1]) and 1 or 0
end
return new
"""
# A counter that does not stand at what was added has been there before, and has its end.
_COUNT: Final = """
local totals = {}
for i, key in ipairs(KEYS) do
    local total = redis.call('INCRBY', key, ARGV[i + 1])
    if total == tonumber(ARGV[i + 1]) and redis.call('PTTL', key) < 0 then
        redis.call('PEXPIRE', key, ARGV[1])
    end
    totals[i] = total
end
return totals
"""
_PUBLISH: Final = """
for _, message in ipairs(ARGV) do
    redis.call('PUBLISH', KEYS[1], message)
end
"""


class RedisCache:
    """A Cache that many processes share. Ends are measured by Redis.

    A call is one command. In a cluster keys spread over slots, and a command may have the keys of one slot only: there
    a call is one command for each slot that its keys are in, the commands of each node in one pipeline and all nodes at
    once, which is still one round trip, and dearer. A subject's messages go through the node that its name's slot is
    on, so that their order is kept.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._prefix = link.config.prefix
        self._ears: dict[str, Ear] = {}

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """The value of each key; None where there is none."""
        names = self._named(keys)
        return await self._each(names, lambda part: ("MGET", *[names[index] for index in part]))

    async def put(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        """Set values, over what was there, until `ttl_s` from now."""
        await self._scripted(_PUT, values, ttl_s)

    async def add(self, values: Mapping[str, bytes], ttl_s: float) -> Sequence[bool]:
        """Set those values whose key has none, until `ttl_s` from now; answers for each whether it was new."""
        return [bool(new) for new in await self._scripted(_ADD, values, ttl_s)]

    async def count(self, increments: Mapping[str, int], window_s: float) -> Sequence[int]:
        """Add to counters; answers where each stands now. A counter ends `window_s` after the call that began it."""
        return await self._scripted(_COUNT, increments, window_s)

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget values and counters."""
        names = self._named(keys)
        parts = self._link.together(names) if names else []
        await self._run([Command(names[part[0]], ("UNLINK", *[names[index] for index in part])) for part in parts])

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        """Tell everyone who is subscribed to `subject` now."""
        if messages:
            (name,) = self._named([subject])
            await self._link.run([Command(name, ("EVAL", _PUBLISH, 1, name, *messages))])

    async def subscribe(self, subject: str) -> "RedisSubscription":
        """Hear what is published on `subject` from now on."""
        (name,) = self._named([subject])
        subscription = RedisSubscription(self, name)
        await subscription.listen()
        return subscription

    async def ear(self, subject: bytes) -> Ear:
        """What hears this subject now. Raises CacheUnavailable."""
        place = await self._link.place(subject)
        ear = self._ears.get(place)
        if ear is None:
            ear = self._ears[place] = Ear(lambda: self._link.connect(place), self._link.config.timeout_s, _IDLE_S)
        return ear

    async def close(self) -> None:
        """Cut every subscription; the link is its maker's to close. Calling it twice is lawful."""
        for ear in self._ears.values():
            await ear.close()

    def _named(self, keys: Sequence[str]) -> list[bytes]:
        prefix = self._prefix
        return [(prefix + key).encode() for key in keys]

    async def _scripted(self, script: str, arguments: Mapping[str, Word], seconds: float) -> list[Any]:
        """Run a script over keys with an argument each; its answers, in order."""
        ms, names, values = _ms(seconds), self._named([*arguments]), [*arguments.values()]

        def words(part: Sequence[int]) -> tuple[Word, ...]:
            return ("EVAL", script, len(part), *[names[i] for i in part], ms, *[values[i] for i in part])

        return await self._each(names, words)

    async def _each(self, names: Sequence[bytes], words: Callable[[Sequence[int]], tuple[Word, ...]]) -> list[Any]:
        """An answer for each name, by commands that each answer for those that may be in one command."""
        parts = self._link.together(names) if names else []
        answers = await self._run([Command(names[part[0]], words(part)) for part in parts])
        if len(parts) == 1:
            return answers[0] or []
        found: list[Any] = [None] * len(names)
        for part, answer in zip(parts, answers, strict=True):
            for index, value in zip(part, answer or [], strict=False):
                found[index] = value
        return found

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        return await self._link.run(commands) if commands else []


class RedisSubscription:
    """What is heard of one subject.

    Who calls `receive` again after CacheUnavailable listens again, which is refused at once while Redis is known to be
    away: wait a little between such calls.
    """

    def __init__(self, cache: RedisCache, subject: bytes) -> None:
        self._cache = cache
        self._subject = subject
        self._ear: Ear | None = None
        self._listener: Listener | None = None

    async def listen(self) -> Listener:
        """Begin to hear, or hear on. Raises CacheUnavailable."""
        if self._listener is None:
            ear = await self._cache.ear(self._subject)
            self._listener = await ear.listen(self._subject)
            self._ear = ear
        return self._listener

    async def receive(self) -> Sequence[bytes]:
        """The messages since the last call, in order; waits until there is one. May be cancelled, losing none."""
        listener = await self.listen()
        messages = await listener.heard()
        if not messages:
            self._listener = None
            raise CacheUnavailable("the connection to Redis broke; messages may be lost")
        return messages

    async def close(self) -> None:
        """Hear nothing any more."""
        if self._ear is not None and self._listener is not None:
            await self._ear.forget(self._subject, self._listener)


def _ms(seconds: float) -> int:
    if not seconds > 0:
        raise ValueError(f"a time of {seconds} s has ended before it began")
    return ceil(min(seconds, _LONGEST_S) * 1000)
