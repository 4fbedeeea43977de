"""What providers say of their money is kept, with its age where they do not say it again."""

import asyncio
from collections.abc import Sequence

from bellhouse.app.balances import AGAIN_S, Balances
from bellhouse.domain.attempt import Permanent
from bellhouse.ports.provider import Message, Report, Sheet
from bellhouse.ports.telemetry import NullLogbook, ProviderBalance
from bellhouse.testing.clock import START, ManualClock


class Bank:
    """A provider that is asked for its balance and for nothing else."""

    def __init__(self, name: str) -> None:
        self.sheet = Sheet(name, ("sms",), 1, 0.01)
        self.says: float | None = 100.0
        self.asked = 0

    async def balance(self) -> float | None:
        self.asked += 1
        return self.says

    def check(self, message: Message) -> Permanent | None:
        raise AssertionError("nothing is sent here")

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        raise AssertionError("nothing is sent here")

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Lease:
    """A lease that a test gives and takes."""

    ours = True

    async def held(self) -> bool:
        return self.ours


async def test_one_that_does_not_answer_keeps_its_last_figure_shows_its_age_and_is_asked_again_soon() -> None:
    clock, twilio, vonage, lease = ManualClock(), Bank("twilio"), Bank("vonage"), Lease()
    vonage.says = None
    balances = Balances([twilio, vonage], {"twilio": 20.0}, 300.0, lease, clock, NullLogbook())
    running = asyncio.create_task(balances.run())
    await clock.advance(0.1)
    assert balances.read() == [
        ProviderBalance("twilio", 100.0, 20.0, 0),
        ProviderBalance("vonage", None, None, START),
    ]
    twilio.says, vonage.says = None, 7.5
    await clock.advance(AGAIN_S)
    assert balances.read() == [ProviderBalance("twilio", 100.0, 20.0, START), ProviderBalance("vonage", 7.5)]
    twilio.says = 15.0
    await clock.advance(AGAIN_S)
    assert balances.read()[0] == ProviderBalance("twilio", 15.0, 20.0, 0)
    asked = twilio.asked
    await clock.advance(299)
    assert twilio.asked == asked, "all have told, so there is time"
    lease.ours = False
    await clock.advance(600)
    assert twilio.asked == asked
    balances.drain()
    await clock.advance(1)
    await running
