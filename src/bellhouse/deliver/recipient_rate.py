"""How many deliveries a recipient gets a minute over all channels: those above it wait for a later minute, unspent.

Minutes are those of the wall clock. A delivery counts once in a minute, however often it comes back within it: because
a provider was at its rate, a call failed, or the store could not note the intent to send it. The count is also a queue:
a delivery that finds it beyond the limit waits for the minute in which its place comes up, so that ten thousand at once
are not polled again and again. Whoever loses the cache counts from nothing again.

Critical is never held, and what is in_app lies in an inbox and disturbs nobody: neither is counted.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from bellhouse.deliver.flight import Flight
from bellhouse.domain.ids import DeliveryId, RecipientNo
from bellhouse.domain.words import Channel, Priority
from bellhouse.policy.quiet import spread
from bellhouse.ports.cache import Cache, CacheUnavailable

MINUTE_MS: Final = 60_000
SPREAD_MS: Final = 10_000
"""Over how much of a minute's beginning those who have waited for it are spread, by recipient."""
_REMEMBERED: Final = 20_000
"""Deliveries whose place in this minute is known; when there are more, all are forgotten and count anew."""

Late = tuple[Flight, int]
"""A delivery that is too much for its recipient now, and when it may leave (ms since the epoch)."""


class RecipientRate:
    """The rate of every recipient, for all lanes of a process."""

    def __init__(self, cache: Cache | None = None, per_minute: int = 0) -> None:
        """`per_minute` 0, or no cache, holds nobody."""
        self._cache = cache if per_minute else None
        self._limit = per_minute
        self._minute = 0
        self._places: dict[DeliveryId, int] = {}

    async def divide(
        self, channel: Channel, priority: Priority, flights: Sequence[Flight], now: int
    ) -> tuple[Sequence[Flight], Sequence[Late]]:
        """Those that may go now, and those that are too many. Asks the cache once, or not at all."""
        if self._cache is None or not flights or channel == "in_app" or priority == "critical":
            return flights, ()
        try:
            places = await self._count(self._cache, flights, now)
        except CacheUnavailable:
            return flights, ()
        if places is None:
            return flights, ()
        going: list[Flight] = []
        late: list[Late] = []
        for flight, place in zip(flights, places, strict=True):
            if place < self._limit:
                going.append(flight)
            else:
                late.append((flight, self._turn(flight.notification.recipient, place, now)))
        return going, late

    async def _count(self, cache: Cache, flights: Sequence[Flight], now: int) -> Sequence[int] | None:
        """Each delivery's place among those of its recipient in this minute, from 0; None where all are in time."""
        minute = now // MINUTE_MS
        if minute != self._minute or len(self._places) > _REMEMBERED:
            self._minute = minute
            self._places = {}
        places = self._places
        ids = [flight.delivery.id for flight in flights]
        again = not places.keys().isdisjoint(ids)
        new = [flight for flight in flights if flight.delivery.id not in places] if again else flights
        counts = Counter([flight.notification.recipient for flight in new])
        totals = await self._totals(cache, counts, now)
        if not again and max(totals) <= self._limit:
            # Nearly always: whoever is in time is in time at the first place as well.
            places.update(dict.fromkeys(ids, 0))
            return None
        next_place = {recipient: total - counts[recipient] for recipient, total in zip(counts, totals, strict=True)}
        for flight in new:
            recipient = flight.notification.recipient
            places[flight.delivery.id] = next_place[recipient]
            next_place[recipient] += 1
        return [places[identifier] for identifier in ids]

    async def _totals(self, cache: Cache, counts: Counter[RecipientNo], now: int) -> Sequence[int]:
        """How many of each recipient have been counted in this minute, these included."""
        if not counts:
            return ()
        minute = now // MINUTE_MS
        increments = {f"recipient_rate:{minute}:{recipient}": count for recipient, count in counts.items()}
        return await cache.count(increments, ((minute + 1) * MINUTE_MS - now) / 1000)

    def _turn(self, recipient: RecipientNo, place: int, now: int) -> int:
        """When a place comes up."""
        minute = now // MINUTE_MS + place // self._limit
        return minute * MINUTE_MS + spread(recipient, SPREAD_MS)
