"""The relay: carries what was committed for the log into it, at once, and as long as it takes."""

from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.doorbell import Doorbell, outbox_bell
from bellhouse.ports.log import LogUnavailable, OutboxLane
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.waiting import OutboxStore
from bellhouse.ports.telemetry import Logbook

_IDLE_S: Final = 0.5
"""How long it trusts the doorbell before it looks for itself."""
_AWAY_S: Final = 0.5


class Relay:
    """Relays one lane, so that one whose log is away holds up no other. Service; of several each takes other rows."""

    def __init__(
        self,
        lane: OutboxLane,
        store: OutboxStore,
        doorbell: Doorbell,
        clock: Clock,
        logbook: Logbook,
        batch: int = 1_000,
    ) -> None:
        self.name = f"relay-{lane}"
        self._lane = lane
        self._store = store
        self._doorbell = doorbell
        self._clock = clock
        self._logbook = logbook
        self._batch = batch
        self._draining = False

    async def start(self) -> None:
        """Nothing to prepare."""

    async def run(self) -> None:
        while not self._draining:
            try:
                if await self._store.relay(self._lane, self._batch) == 0:
                    await self._doorbell.wait(outbox_bell(self._lane), _IDLE_S)
            except StoreUnavailable as down:
                self._note("store", down.reason, down)
                await self._clock.sleep(_AWAY_S)
            except LogUnavailable as down:
                self._note("log", down.reason, down)
                await self._clock.sleep(_AWAY_S)
            await self._clock.sleep(0)

    def _note(self, what: str, reason: str, down: Exception) -> None:
        self._logbook.note("error", f"The outbox waits for the {what}", reason=reason, error=str(down))

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        """Nothing to close."""
