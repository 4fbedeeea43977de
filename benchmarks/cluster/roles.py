"""The roles of the distributed mode as a benchmark runs them: each a process of its own, critical apart from bulk."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bellhouse.app.run import Running
from bellhouse.demo.processes import Child, DidNotStart

_REST: Final = ("--priority", "high", "--priority", "normal", "--priority", "low")
_CRITICAL: Final = ("--priority", "critical")
_PUSH: Final = ("--channel", "push")

ROLES: Final = {
    "api": ("api", "--port", "0"),
    "relay": ("relay", *_REST),
    "router": ("router", *_REST),
    "worker": ("worker", *_PUSH, *_REST),
    "relay, critical": ("relay", *_CRITICAL),
    "router, critical": ("router", *_CRITICAL),
    "worker, critical": ("worker", *_PUSH, *_CRITICAL),
    "scheduler": ("scheduler",),
    "exporter": ("exporter",),
}
"""What each process is called here, and how it is started."""
BULK: Final = ("router", "worker")
"""Without these everything but critical waits in the log."""

BELLHOUSE: Final = (sys.executable, "-P", "-m", "bellhouse")
_PATIENCE_S: Final = 180.0


@dataclass(frozen=True)
class Role:
    """A running process."""

    child: Child
    running: Running


async def start_role(name: str, data: Path, arguments: Sequence[str]) -> Role:
    """Play a role on the settings in a folder. Raises DidNotStart with what it said."""
    metrics = () if arguments[0] == "api" else ("--metrics-port", "0")
    log = data / f"{name.replace(', ', '-')}.log"
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(*BELLHOUSE, "run", *arguments, *metrics, "--data", str(data), "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            process_group=0,
        )
    child = Child(process, log)
    assert process.stdout is not None  # asked for above
    try:
        async with asyncio.timeout(_PATIENCE_S):
            running = msgspec.json.decode(await process.stdout.readline(), type=Running)
    except (TimeoutError, msgspec.MsgspecError):
        await child.stop(1.0)
        raise DidNotStart(f"The role {name} did not start: {child.said() or 'it said nothing'}") from None
    return Role(child, running)


async def command(data: Path, *arguments: str) -> str:
    """Run a command of Bellhouse's on a folder and answer what it printed. Raises RuntimeError with its complaint."""
    process = await asyncio.create_subprocess_exec(
        *(*BELLHOUSE, *arguments, "--data", str(data)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"bellhouse {' '.join(arguments)} failed: {(errors or output).decode().strip()}")
    return output.decode()
