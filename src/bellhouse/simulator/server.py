"""Runs a simulator until it is told to stop."""

import asyncio
import gc
import signal
import sys

import msgspec
import uvloop

from bellhouse.simulator.options import Options
from bellhouse.simulator.world import World


def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT; print one JSON line with ports and URLs once everything listens.

    Raises OSError, in words, when a port is taken or a file cannot be written.
    """
    uvloop.run(_run(options))


async def _run(options: Options) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    world = World(options)
    try:
        ready = await world.open()
        # Calls leave next to no cycles behind, and walking thousands of waiting ones costs more than it finds.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        world.close()
