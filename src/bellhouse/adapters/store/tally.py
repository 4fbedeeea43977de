"""The ledger's moves: collected while a transaction's rows are made, and written with them."""

from collections import defaultdict
from typing import Final

from bellhouse.domain.words import DeliveryState, NotificationState

DAY_MS: Final = 86_400_000

_MINUTE_BYTES: Final = 4
"""The leading bytes of an id that decide its day: its moment in steps of 65,536 ms. A batch shares them, so that the
counters' day is found once a batch; the same id always gives the same day."""


def day_of(identifier: bytes) -> int:
    """The day (UTC, since the epoch) on which an id is counted."""
    return (int.from_bytes(identifier[:_MINUTE_BYTES]) << 16) // DAY_MS


class Tally:
    """Collects a transaction's moves, so that a batch touches each counter once.

    A state of None stands for outside: what is new comes from there.
    """

    __slots__ = ("_moves",)

    def __init__(self) -> None:
        self._moves: dict[tuple[int, bytes, str, str | None, str], int] = defaultdict(int)

    def notification(
        self, tenant: int, identifier: bytes, before: NotificationState | None, after: NotificationState
    ) -> None:
        self._moves[tenant, identifier[:_MINUTE_BYTES], "notification", before, after] += 1

    def delivery(
        self, tenant: int, identifier: bytes, before: DeliveryState | None, after: DeliveryState, count: int = 1
    ) -> None:
        self._moves[tenant, identifier[:_MINUTE_BYTES], "delivery", before, after] += count

    def moves(self, backwards: bool = False) -> list[tuple[int, int, str, str, int]]:
        """What each counter moves by: (tenant, day, level, state, moved); `backwards` takes it all back."""
        counters: dict[tuple[int, int, str, str], int] = defaultdict(int)
        for (tenant, minute, level, before, after), count in self._moves.items():
            day = day_of(minute)
            if before is not None:
                counters[tenant, day, level, before] -= count
            counters[tenant, day, level, after] += count
        sign = -1 if backwards else 1
        return [(*counter, sign * moved) for counter, moved in counters.items() if moved]
