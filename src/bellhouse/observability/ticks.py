"""A beat that stops at once when it is told to."""

import asyncio
from collections.abc import AsyncIterator

from bellhouse.ports.clock import Clock


async def ticks(clock: Clock, seconds: float, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield now and then every `seconds`, until `stop` is set."""
    while not stop.is_set():
        yield
        sleeping = asyncio.ensure_future(clock.sleep(seconds))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((sleeping, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()
