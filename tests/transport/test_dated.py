"""The Date of one answer a second is looked at; every answer passes as it is."""

from collections.abc import Callable, Sequence
from email.utils import formatdate

from bellhouse.adapters.transport.dated import DatedTransport
from bellhouse.observability.skew import Skew
from bellhouse.ports.provider import Exchange, Request, Response
from bellhouse.testing.clock import START, ManualClock

ASKED = Request("GET", "/", {}, b"")


class Peer:
    """A transport whose peer answers at once, with a Date of its own."""

    def __init__(self, date: str) -> None:
        self.date = date
        self.closed = False

    async def exchange(
        self, requests: Sequence[Request], report: Callable[[int, Exchange, float], None], timeout_s: float
    ) -> None:
        for index in range(len(requests)):
            report(index, Response(200, {"date": self.date} if self.date else {}, b""), 0.0)

    async def close(self) -> None:
        self.closed = True


async def test_a_clock_that_runs_ahead_of_the_peers_is_seen_within_a_second_of_it() -> None:
    clock, skew = ManualClock(), Skew()
    transport = DatedTransport(Peer(formatdate(START / 1000 - 90, usegmt=True)), "peer", clock, skew.add)
    seen: list[int] = []
    await transport.exchange([ASKED] * 3, lambda index, _answer, _seconds: seen.append(index), 1.0)
    assert seen == [0, 1, 2]
    ahead = skew.seconds(clock.monotonic())
    assert ahead is not None
    assert abs(ahead - 90) <= 1


async def test_one_answer_a_second_is_looked_at() -> None:
    clock = ManualClock()
    heard: list[float] = []
    peer = Peer(formatdate(START / 1000, usegmt=True))
    transport = DatedTransport(peer, "peer", clock, lambda *told: heard.append(told[4]))
    for _ in range(4):
        await transport.exchange([ASKED, ASKED], lambda *_: None, 1.0)
        await clock.advance(0.5)
    assert heard == [0.0, 1.0]
    await transport.close()
    assert peer.closed


async def test_a_peer_without_a_date_or_with_nonsense_tells_nothing() -> None:
    clock, skew = ManualClock(), Skew()
    for date in ("", "tomorrow"):
        await DatedTransport(Peer(date), "peer", clock, skew.add).exchange([ASKED], lambda *_: None, 1.0)
    assert skew.seconds(0.0) is None
