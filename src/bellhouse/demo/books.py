"""Where the platform's own records are read, whatever store it has."""

import asyncio
from pathlib import Path
from typing import Protocol

from bellhouse.demo.records import Recorded, read


class Books(Protocol):
    """A store that is read beside the platform that writes it."""

    async def read(self) -> dict[str, Recorded]:
        """Everything in it at one moment, by the notifications' ids."""
        ...


class FileBooks:
    """Those of the embedded mode."""

    def __init__(self, database: Path) -> None:
        self._database = database

    async def read(self) -> dict[str, Recorded]:
        return await asyncio.to_thread(read, self._database)
