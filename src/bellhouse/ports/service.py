"""A service: something a process runs from its start until it is told to end."""

from typing import Protocol


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
