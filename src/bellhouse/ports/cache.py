"""The cache: what many processes remember together for a while, and may forget at any moment.

Losing it loses speed, never truth. Whatever it holds may be gone at the next call: it ended, it made room for others,
or the cache was started anew. So nothing is kept here alone that a notification, a decision or an operator's act
depends on; those are in the store. Whoever asks says what it does without an answer: it asks the store, counts from
nothing again, or lets go through what it would have held.

* Keys are strings that begin with the name of their use and a colon. Values are bytes, and never changed in place.
* A key is a value's or a counter's for its whole life. Who mixes them gets an answer of which nothing is promised.
* Every entry ends; after its end it is as if it had never been. Ends are measured in the cache's own time, so the wall
  clocks of its users need not agree, and setting one back neither prolongs nor shortens anything.
* A call is one round trip, whatever its length; answers stand in the order of what was asked. Empty calls are lawful.
* Each key of a call is worked on as a whole: of two that add the same key at once one finds it new, and no increment
  is lost while the counter lives. Between the keys of one call others may have their turn.
* A call that raises CacheUnavailable may have been carried out or not. Repeating `put`, `add` and `delete` is harmless,
  but for an `add` that finds what it added itself; a repeated `count` may count twice.
* Messages reach at most once those that are subscribed at that moment, in the order of their publishing. A message may
  be lost, also for a subscriber that is slow: it is a hint to look, and who must not miss one looks now and then too.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol


class CacheUnavailable(Exception):
    """The cache cannot be reached, or did not answer in time."""


class Subscription(Protocol):
    """What is heard of one subject."""

    async def receive(self) -> Sequence[bytes]:
        """The messages since the last call, in order; waits until there is one. May be cancelled, losing none.
        Raises CacheUnavailable where the connection broke: messages may be lost, the next call listens again."""
        ...

    async def close(self) -> None:
        """Hear nothing any more. Calling it twice is lawful."""
        ...


class Cache(Protocol):
    """Every call may raise CacheUnavailable, and ValueError for a time that is not above zero."""

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """The value of each key; None where there is none."""
        ...

    async def put(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        """Set values, over what was there, until `ttl_s` from now."""
        ...

    async def add(self, values: Mapping[str, bytes], ttl_s: float) -> Sequence[bool]:
        """Set those values whose key has none, until `ttl_s` from now; answers for each whether it was new."""
        ...

    async def count(self, increments: Mapping[str, int], window_s: float) -> Sequence[int]:
        """Add to counters, which begin at nothing; answers where each stands now.

        A counter ends `window_s` after the call that began it; later calls do not prolong it. What is added may be
        negative: taken back. Who needs windows that end at one moment names the window in the key.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Forget values and counters; a key that is not there is lawful."""
        ...

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        """Tell everyone who is subscribed to `subject` now, in every process. Waits for no subscriber."""
        ...

    async def subscribe(self, subject: str) -> Subscription:
        """Hear what is published on `subject` from the moment this returns."""
        ...
