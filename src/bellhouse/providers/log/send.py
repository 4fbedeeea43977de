"""The provider `log`: takes every message at once and sends nothing, for trials and for measuring the house alone."""

from collections.abc import Sequence

import msgspec

from bellhouse.domain.attempt import Accepted, Permanent
from bellhouse.domain.words import CHANNELS, Channel
from bellhouse.ports.provider import Message, Report, Sheet

_ACCEPTED = Accepted()


class LogConfig(msgspec.Struct, frozen=True):
    """Under which name and for which channels it stands in."""

    name: str = "log"
    channels: tuple[Channel, ...] = CHANNELS
    batch: int = 1000


class LogProvider:
    """Accepts everything; has no state, opens nothing."""

    def __init__(self, config: LogConfig | None = None) -> None:
        config = config or LogConfig()
        self._sheet = Sheet(name=config.name, channels=config.channels, batch=config.batch, price=0.0, any_contact=True)

    @property
    def sheet(self) -> Sheet:
        return self._sheet

    def check(self, message: Message) -> Permanent | None:  # noqa: ARG002 - the port's signature; it takes everything
        """Nothing is refused."""
        return None

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        """Report every message as accepted, at once."""
        for index in range(len(batch)):
            report(index, _ACCEPTED, 0.0)

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""
