"""The running reconciler: counts the ledger's rows again and again, and keeps what it found."""

from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.service import Beat
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.insights import Insights, Ledger
from bellhouse.ports.telemetry import Lease, LedgerReading, Logbook

_SHORTEST_S: Final = 10.0
_REST: Final = 60.0
"""It rests so many times as long as it worked: a sixtieth of a core at the most, however much is stored."""
_STANDS_MS: Final = 600_000
"""How long a check stands while the counters do not move: nothing has been written that could break it."""


class Reconciler(Beat):
    """Checks the ledger against independent counts. Service; one in the whole house, by lease.

    Where the store cannot be read, the last check stands with its moment, and is seen to be old.
    """

    def __init__(self, insights: Insights, lease: Lease, clock: Clock, logbook: Logbook) -> None:
        super().__init__("reconciler", _SHORTEST_S, clock)
        self._insights = insights
        self._lease = lease
        self._logbook = logbook
        self._counters: list[tuple[str, str, int]] = []
        self._counted_at = 0
        self.reading: LedgerReading | None = None
        """The last check; None before the first."""

    def rest_s(self, took_s: float) -> float:
        return max(self._every_s, _REST * took_s)

    def missed(self, down: StoreUnavailable | LogUnavailable) -> None:
        self._logbook.note("error", "The ledger cannot be counted", reason=down.reason, error=str(down))

    async def beat(self) -> None:
        """One check, logged where it does not balance; the rows are counted only where the counters have moved."""
        if not await self._lease.held():
            self.reading = None
            return
        now = self._clock.now()
        counters = _counters(await self._insights.ledger(None, now, False))
        if self.reading is not None and counters == self._counters and now - self._counted_at < _STANDS_MS:
            self.reading = LedgerReading(self.reading.imbalance, now)
            return
        ledger = await self._insights.ledger(None, now, True)
        self._counters, self._counted_at = _counters(ledger), now
        self.reading = LedgerReading(ledger.imbalance, now)
        for failed in (check for check in ledger.checks if not check.holds):
            self._logbook.note(
                "error", "The ledger does not balance", check=failed.name, count=failed.left - failed.right
            )

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        """Nothing to close."""


def _counters(ledger: Ledger) -> list[tuple[str, str, int]]:
    return [(line.level, line.state, line.counted) for line in ledger.lines]
