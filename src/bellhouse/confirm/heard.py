"""Notes which providers have called back, so that all processes know when each was last heard."""

from typing import Final

from bellhouse.ports.clock import Clock
from bellhouse.ports.service import Beat
from bellhouse.ports.store.providers import SignStore

TELL_S: Final = 1.0


class Heard(Beat):
    """Gathers who was heard and writes it down once a second, however many callbacks come. Service."""

    def __init__(self, store: SignStore, clock: Clock) -> None:
        super().__init__("heard", TELL_S, clock)
        self._store = store
        self._untold: set[str] = set()

    def __call__(self, provider: str) -> None:
        """A provider has told something about a message of ours, in words that were proved to be its own."""
        self._untold.add(provider)

    async def beat(self) -> None:
        told, self._untold = self._untold, set()
        if told:
            try:
                await self._store.note_heard(sorted(told), self._clock.now())
            except BaseException:
                self._untold |= told
                raise
