"""What a probe's story means: got through, failed, or nothing in its time."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import NotificationId, RecipientNo, TenantNo, delivery_id
from bellhouse.domain.notification import Decision, PlannedDelivery, Reason
from bellhouse.domain.words import Channel, DeliveryState
from bellhouse.ingest.accept import Acceptor
from bellhouse.ops.probes import NAME, TENANT, Prober, ProberParts, sign_of
from bellhouse.ports.store.insights import Story, StoryEvent
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry, ProbeOutcome
from bellhouse.testing.clock import ManualClock
from bellhouse.testing.records import notification


class Told(NullTelemetry):
    """What was counted."""

    def __init__(self) -> None:
        self.probes: list[tuple[Channel, ProbeOutcome]] = []

    def probed(self, channel: Channel, outcome: ProbeOutcome) -> None:  # type: ignore[override]  # the null one takes all
        self.probes.append((channel, outcome))


class Bench:
    """A prober over a store, of which a test says what becomes of its probes."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.told = ManualClock(), Told()
        self.store = SqliteStore(folder / "bellhouse.db", LocalDoorbell())
        self.state: DeliveryState | None = None
        self.refused: str | None = None
        self.provider = "twilio"
        acceptor = Acceptor(self.store.ingest, self.store.catalogue, self.clock, NullTelemetry(), NullLogbook())
        parts = ProberParts(
            acceptor, self.store.catalogue, self.store.recipients, self, self.store.signs, self.clock, self.told,  # type: ignore[arg-type]  # it answers what is asked of it here
            frozenset({"twilio"}),
        )  # fmt: skip
        self.prober = Prober(parts, {"in_app": None}, within_s=10.0)

    async def story(self, _: TenantNo | None, identifier: NotificationId) -> Story | None:
        asked = notification(TenantNo(1), RecipientNo(1))
        if self.refused is not None:
            decision = Decision("suppressed", 0, (), (Reason(self.refused, "in_app"),))
            return Story(asked, decision, (), {})
        if self.state is None:
            return Story(asked, None, (), {})
        delivery = delivery_id(identifier, 1)
        detail = msgspec.msgpack.encode(Detail(provider=self.provider or None))
        events = [StoryEvent(delivery, "worker", 1, self.state, 0, detail)]
        decision = Decision("planned", 0, (PlannedDelivery(1, "in_app", "in_app"),))
        return Story(asked, decision, events, {delivery: self.state})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("state", "provider", "outcome"),
    [
        ("delivered", "twilio", "confirmed"),
        ("sent", "smtp", "confirmed"),
        ("sent", "twilio", "timeout"),
        ("waiting", "", "timeout"),
        ("in_flight", "twilio", "timeout"),
        ("unknown", "twilio", "timeout"),
        ("failed", "twilio", "failed"),
        ("dead_lettered", "twilio", "failed"),
        ("expired", "", "failed"),
        ("cancelled", "", "failed"),
    ],
)
async def test_each_state_has_its_outcome(
    bench: Bench, state: DeliveryState, provider: str, outcome: ProbeOutcome
) -> None:
    bench.state, bench.provider = state, provider
    probing = asyncio.create_task(bench.prober.probe(["in_app"]))
    await bench.clock.advance(11)
    (view,) = await probing
    assert (view.outcome, view.provider) == (outcome, provider)
    assert bench.told.probes == [("in_app", outcome)]
    assert (sign_of("in_app") in await bench.store.signs.signs()) == (outcome == "confirmed")


async def test_a_probe_that_may_not_be_sent_has_failed_and_says_why(bench: Bench) -> None:
    bench.refused = "suppressed:no_contact"
    (view,) = await bench.prober.probe(["in_app"])
    assert (view.outcome, view.reason) == ("failed", "suppressed:no_contact")


async def test_one_that_is_never_routed_has_said_nothing_in_its_time(bench: Bench) -> None:
    probing = asyncio.create_task(bench.prober.probe(["in_app"]))
    await bench.clock.advance(9)
    assert not probing.done()
    await bench.clock.advance(2)
    (view,) = await probing
    assert (view.outcome, view.reason, view.seconds) == ("timeout", "waiting", 10.0)


async def test_a_process_that_drains_waits_for_no_probe_and_counts_none(bench: Bench) -> None:
    probing = asyncio.create_task(bench.prober.probe(["in_app"]))
    await bench.clock.advance(1)
    bench.prober.drain()
    await bench.clock.advance(1)
    await probing
    assert bench.told.probes == []


async def test_the_probes_tenant_is_made_once(bench: Bench) -> None:
    bench.state = "delivered"
    await bench.prober.probe(["in_app"])
    await bench.prober.probe(["in_app"])
    tenant = await bench.store.catalogue.tenant(*TENANT)
    assert await bench.store.catalogue.template_names(tenant) == {NAME: 1}
