"""A service: something a process runs from its start until it is told to end."""

from abc import ABC, abstractmethod
from typing import Final, Protocol

from bellhouse.ports.clock import Clock
from bellhouse.ports.log import LogUnavailable
from bellhouse.ports.store.errors import StoreUnavailable

_NOTICE_S: Final = 0.5


class MustEnd(Exception):
    """What a service raises where its process may begin nothing any more: the others need not be waited for."""


class Service(Protocol):
    """Started in order, run side by side, drained together, stopped in the reverse order.

    A service that ends or raises in `run` before it was drained has crashed, and its process ends with it: the
    supervisor starts a new one, which takes up the work from the store.
    """

    @property
    def name(self) -> str:
        """How logs and errors call it."""
        ...

    async def start(self) -> None:
        """Make ready; when it returns the service can work. Raises what makes that impossible."""
        ...

    async def run(self) -> None:
        """Work until drained; then finish what is in flight, and return. May be cancelled at any await."""
        ...

    def drain(self) -> None:
        """Take on nothing new. Returns at once; `run` returns when all is finished. Calling it twice is lawful."""
        ...

    async def stop(self) -> None:
        """Close what was opened, whatever state it is in. Calling it twice is lawful, also without a start."""
        ...


class Beat(ABC):
    """A service that does one thing again and again, with nothing to prepare or to close.

    A beat that the store or the log kept from happening is told to `missed`, and the next one comes in its time.
    """

    def __init__(self, name: str, every_s: float, clock: Clock) -> None:
        """`every_s`: the rest between two beats in seconds."""
        self.name = name
        self._every_s = every_s
        self._clock = clock
        self._draining = False

    @abstractmethod
    async def beat(self) -> None:
        """What is done."""

    def missed(self, down: StoreUnavailable | LogUnavailable) -> None:  # noqa: B027  # most leave the news to others
        """What is said of a beat that could not be."""

    def rest_s(self, took_s: float) -> float:  # noqa: ARG002  # for those whose beats cost
        """How long to rest after a beat that took so many seconds."""
        return self._every_s

    async def start(self) -> None:  # noqa: B027  # as it says
        """Nothing to prepare."""

    async def run(self) -> None:
        """One beat after another until drained, which is noticed within half a second."""
        while not self._draining:
            began = self._clock.monotonic()
            await self.once()
            rest = self.rest_s(self._clock.monotonic() - began)
            while rest > 0 and not self._draining:
                await self._clock.sleep(min(rest, _NOTICE_S))
                rest -= _NOTICE_S

    async def once(self) -> None:
        """One beat, or the news that it could not be."""
        try:
            await self.beat()
        except (StoreUnavailable, LogUnavailable) as down:
            self.missed(down)

    def drain(self) -> None:
        """No further beat."""
        self._draining = True

    async def stop(self) -> None:  # noqa: B027  # as it says
        """Nothing to close."""
