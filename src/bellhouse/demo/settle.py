"""Waits until nothing moves any more: what is left then waits for a moment of its own, and is named."""

from typing import Final

from bellhouse.demo.books import Books
from bellhouse.demo.watch import Ledger, Watch
from bellhouse.ports.clock import Clock
from bellhouse.simulator.client import SimulatorClient

_PATIENCE_S: Final = 20.0
_LOOK_S: Final = 0.25
_SOON_MS: Final = 5_000
"""What may leave within this time is waited for."""
_RETURNING: Final = frozenset(
    {"waiting:retry", "waiting:throttled", "waiting:outage", "waiting:quota", "waiting:outcome", "waiting:replayed"}
)
"""Reasons of waiting that end by themselves within seconds."""


async def until_still(watch: Watch, outside: SimulatorClient, books: Books, clock: Clock) -> bool:
    """Return True when nothing moves, or False when something should but did not for as long as the patience."""
    deadline = clock.monotonic() + _PATIENCE_S
    before: Ledger | None = None
    while clock.monotonic() < deadline:
        ledger = await watch.ledger()
        if before is not None and ledger.lines != before.lines:
            deadline = clock.monotonic() + _PATIENCE_S
        before = ledger
        calm = not ledger.moving and not outside.pending_callbacks()["pending"] and not await watch.backlog()
        if calm and not await _returning(ledger, books, clock):
            return True
        await clock.sleep(_LOOK_S)
    return False


async def _returning(ledger: Ledger, books: Books, clock: Clock) -> int:
    """How many of the waiting come back by themselves within seconds."""
    if not ledger.of("delivery", "waiting") and not ledger.of("notification", "waiting"):
        return 0
    soon = clock.now() + _SOON_MS
    recorded = await books.read()
    return sum(
        delivery.state == "waiting" and (delivery.reason in _RETURNING or delivery.due_at < soon)
        for one in recorded.values()
        for delivery in one.deliveries
    ) + sum(one.state == "waiting" and one.ready_at < soon for one in recorded.values())
