"""The settler: what is written together, and in which order."""

from collections.abc import Sequence

from bellhouse.deliver.flight import Ticket
from bellhouse.deliver.meter import Meter
from bellhouse.deliver.settler import Settled, Settler
from bellhouse.domain.delivery import Event
from bellhouse.domain.ids import DeliveryId, TenantNo
from bellhouse.ports.log import Position, deliveries_topic
from bellhouse.ports.store.deliver import Outcome, Settlement
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.testing.clock import ManualClock

PUSH = deliveries_topic("push", "normal")


class Written:
    """A store that keeps what it is asked to settle."""

    def __init__(self) -> None:
        self.settlements: list[Settlement] = []

    async def settle(self, settlement: Settlement) -> None:
        self.settlements.append(settlement)


class Moved:
    """A reader that takes every position."""

    async def commit(self, done: Sequence[Position]) -> None:
        return


def settler_of(store: Written) -> Settler:
    meter = Meter("push", "normal", NullTelemetry())
    return Settler(PUSH, Moved(), store, ManualClock(), NullLogbook(), meter, 0.0)  # type: ignore[arg-type]  # all that is asked of them here


def settled(ticket: Ticket, number: int) -> Settled:
    identifier = DeliveryId(number.to_bytes(15) + b"\x01")
    event = Event(identifier, "worker", 0, "unknown", 1, "in_flight")
    return Settled(ticket, (Outcome(event, TenantNo(1)),))


async def test_an_old_intent_stays_until_everything_that_it_names_is_written() -> None:
    store = Written()
    settler = settler_of(store)
    ticket = Ticket({(0, 0): 700}, 700)
    settler.polled(ticket)
    for number in range(700):
        settler.add(settled(ticket, number))
    settler.forget_intent(7)
    await settler.flush()
    assert [(len(s.outcomes), list(s.intents)) for s in store.settlements] == [(500, []), (200, [7])]
    assert not store.settlements[0].done
    assert store.settlements[1].done


async def test_an_intent_goes_with_the_last_of_its_outcomes() -> None:
    store = Written()
    settler = settler_of(store)
    ticket = Ticket({(0, 0): 2}, 2)
    ticket.intents.append(3)
    settler.polled(ticket)
    settler.add(settled(ticket, 1))
    await settler.flush()
    settler.add(settled(ticket, 2))
    await settler.flush()
    assert [list(s.intents) for s in store.settlements] == [[], [3]]
    assert [bool(s.done) for s in store.settlements] == [False, True]
    assert settler.in_flight == 0
