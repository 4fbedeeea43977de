"""One exposition answers for all processes, and its counters never go back, whatever is killed and restarted."""

import asyncio
import tempfile
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bellhouse.observability.families import Distribution
from bellhouse.observability.merge import INTERVAL_S, MetricsExchange, merge
from bellhouse.observability.metrics import Metrics, Snapshot
from bellhouse.ports.clock import Clock
from bellhouse.testing.clock import ManualClock

from .recorded import RecordedLogbook
from .scrape import Samples, scrape, value


class Process:
    """A role's process as far as its metrics go."""

    def __init__(self, role: str, directory: Path, clock: Clock) -> None:
        self.metrics = Metrics(role, clock.now())
        self.logbook = RecordedLogbook()
        self.exchange = MetricsExchange(self.metrics, directory, clock, self.logbook)
        self.metrics.register("type", ["news"])

    async def start(self) -> "Process":
        await self.exchange.start()
        return self

    def scrape(self) -> Samples:
        return scrape(self.exchange.exposition())


def received(samples: Samples, type: str = "news") -> float | None:
    return value(samples, "notifications_received_total", priority="low", type=type)


async def test_counters_and_histograms_of_all_processes_are_added(tmp_path: Path) -> None:
    clock = ManualClock()
    api, bulk = await Process("api", tmp_path, clock).start(), await Process("bulk", tmp_path, clock).start()
    api.metrics.received("low", "news", 2)
    bulk.metrics.received("low", "news", 3)
    bulk.metrics.sent("push", "fcm", "success", 4)
    api.metrics.provider_took("fcm", (0.1,))
    bulk.metrics.provider_took("fcm", (0.1, 3.0))
    bulk.exchange.save()
    samples = api.scrape()
    assert received(samples) == 5
    assert value(samples, "notifications_sent_total", channel="push", provider="fcm", status="success") == 4
    assert value(samples, "provider_latency_seconds_count", provider="fcm") == 3
    assert value(samples, "provider_latency_seconds_bucket", provider="fcm", le="2.0") == 2
    assert value(samples, "provider_latency_seconds_sum", provider="fcm") == pytest.approx(3.2)


async def test_every_process_can_answer_for_all(tmp_path: Path) -> None:
    clock = ManualClock()
    api, bulk = await Process("api", tmp_path, clock).start(), await Process("bulk", tmp_path, clock).start()
    api.metrics.received("low", "news", 2)
    bulk.metrics.received("low", "news", 3)
    assert received(api.scrape()) == 2
    assert received(bulk.scrape()) == 5
    assert received(api.scrape()) == 5


async def test_a_shared_gauge_is_its_owners_and_is_not_added_up(tmp_path: Path) -> None:
    clock = ManualClock()
    api, bulk = await Process("api", tmp_path, clock).start(), await Process("bulk", tmp_path, clock).start()
    bulk.metrics.share("dead_letters", [(("sms",), 7), (("push",), 1)])
    bulk.exchange.save()
    await clock.advance(1)
    api.metrics.share("dead_letters", [(("sms",), 6)])
    samples = api.scrape()
    assert value(samples, "dead_letters", channel="sms") == 6
    assert value(samples, "dead_letters", channel="push") is None, "the newest owner's table counts as a whole"


async def test_each_process_keeps_its_own_gauges_beside_the_others(tmp_path: Path) -> None:
    clock = ManualClock()
    api, bulk = await Process("api", tmp_path, clock).start(), await Process("bulk", tmp_path, clock).start()
    api.metrics.degraded(3)
    bulk.exchange.save()
    samples = api.scrape()
    assert value(samples, "ingest_degraded_step", role="api") == 3
    assert value(samples, "ingest_degraded_step", role="bulk") == 0


async def test_a_dead_process_loses_its_gauges_but_not_its_counts(tmp_path: Path) -> None:
    clock = ManualClock()
    api, bulk = await Process("api", tmp_path, clock).start(), await Process("bulk", tmp_path, clock).start()
    bulk.metrics.received("low", "news", 3)
    bulk.metrics.share("dead_letters", [(("sms",), 7)])
    bulk.exchange.save()
    seen = clock.now() / 1000
    await clock.advance(60)
    samples = api.scrape()
    assert received(samples) == 3
    assert value(samples, "dead_letters", channel="sms") is None
    assert value(samples, "process_memory_bytes", role="bulk") is None
    assert value(samples, "process_seen_timestamp_seconds", role="bulk") == seen


async def test_a_killed_process_goes_on_from_its_last_snapshot(tmp_path: Path) -> None:
    clock = ManualClock()
    bulk = await Process("bulk", tmp_path, clock).start()
    bulk.metrics.received("low", "news", 3)
    bulk.metrics.provider_took("fcm", (0.1, 3.0))
    bulk.exchange.save()
    again = await Process("bulk", tmp_path, clock).start()
    again.metrics.received("low", "news", 1)
    again.metrics.provider_took("fcm", (30.0,))
    samples = again.scrape()
    assert received(samples) == 4
    assert value(samples, "provider_latency_seconds_count", provider="fcm") == 3
    assert value(samples, "provider_latency_seconds_sum", provider="fcm") == pytest.approx(33.1)


async def test_a_restarted_process_keeps_the_types_of_its_earlier_life_before_they_are_registered(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    first = await Process("bulk", tmp_path, clock).start()
    first.metrics.register("type", ["rare"])
    first.metrics.received("low", "rare", 3)
    first.exchange.save()
    again = await Process("bulk", tmp_path, clock).start()
    assert received(again.scrape(), "rare") == 3
    assert received(again.scrape(), "other") is None


async def test_a_restarted_process_does_not_claim_shared_gauges_of_its_earlier_life(tmp_path: Path) -> None:
    clock = ManualClock()
    first = await Process("bulk", tmp_path, clock).start()
    first.metrics.share("dead_letters", [(("sms",), 7)])
    first.exchange.save()
    again = await Process("bulk", tmp_path, clock).start()
    assert value(again.scrape(), "dead_letters", channel="sms") is None


async def test_the_snapshot_is_saved_every_second_and_once_more_at_the_end(tmp_path: Path) -> None:
    clock = ManualClock()
    bulk = await Process("bulk", tmp_path, clock).start()
    running = asyncio.create_task(bulk.exchange.run())
    await clock.advance(0)
    bulk.metrics.received("low", "news")
    await clock.advance(INTERVAL_S)
    assert received(scrape_of(tmp_path, clock)) == 1
    bulk.metrics.received("low", "news")
    bulk.exchange.drain()
    await asyncio.wait_for(running, 5)
    await bulk.exchange.stop()
    await bulk.exchange.stop()
    assert received(scrape_of(tmp_path, clock)) == 2


def scrape_of(directory: Path, clock: Clock) -> Samples:
    return Process("onlooker", directory, clock).scrape()


@pytest.mark.parametrize("rubbish", [b"", b"\x00rubbish", msgspec.msgpack.encode({"role": 1}), b"\xc1"])
async def test_a_snapshot_that_cannot_be_read_is_left_out_and_the_process_starts_from_zero(
    tmp_path: Path, rubbish: bytes
) -> None:
    clock = ManualClock()
    (tmp_path / "bulk.metrics").write_bytes(rubbish)
    (tmp_path / "old.metrics").write_bytes(rubbish)
    bulk = await Process("bulk", tmp_path, clock).start()
    bulk.metrics.received("low", "news")
    assert received(bulk.scrape()) == 1


def test_what_another_version_counted_is_left_out_where_its_shape_is_strange() -> None:
    live = Metrics("api", 0).snapshot(0)
    strange = Snapshot(
        "bulk",
        0,
        {"gone_total": [((), 1)], "notifications_received_total": [(("low",), 9), (("low", "news"), 2)]},
        {"gone": [((), 1)]},
        {"group_commit_size": [((), Distribution([1, 2], 3.0))]},
    )
    merged = merge(live, [strange], 0)
    assert merged.counters["notifications_received_total"] == [(("low", "news"), 2)]
    assert "gone" not in merged.gauges
    assert merged.histograms["group_commit_size"] == []
    restored = Metrics("bulk", 0)
    restored.restore(strange)
    assert restored.snapshot(0).counters["notifications_received_total"] == [(("low", "news"), 2)]


async def test_a_full_disk_is_noted_once_and_the_exposition_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = await Process("api", tmp_path, ManualClock()).start()
    api.metrics.received("low", "news")

    def full(_path: Path, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert received(api.scrape()) == 1
        assert received(api.scrape()) == 1
    assert [message for _, message, _ in api.logbook.notes] == ["Metrics snapshot could not be written"]
    api.exchange.save()
    assert received(scrape_of(tmp_path, ManualClock())) == 1


@pytest.mark.parametrize("role", ["", "../up", "a/b", "A", "x" * 61])
def test_a_role_that_is_no_file_name_is_refused(tmp_path: Path, role: str) -> None:
    with pytest.raises(ValueError, match="role"):
        MetricsExchange(Metrics(role, 0), tmp_path, ManualClock(), RecordedLogbook())


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=4), st.randoms())
def test_the_order_in_which_processes_are_merged_does_not_matter_to_what_is_summed(
    counts: list[list[int]], random: Random
) -> None:
    snapshots = []
    for number, of_process in enumerate(counts):
        process = Metrics(f"p{number}", 0)
        for n in of_process:
            process.sent("push", "fcm", "success", n)
            process.provider_took("fcm", [float(n)] * n)
        snapshots.append(process.snapshot(0))
    live, *others = snapshots
    shuffled = others.copy()
    random.shuffle(shuffled)
    one, other = merge(live, others, 0), merge(live, shuffled, 0)
    assert one.counters.get("notifications_sent_total") == other.counters.get("notifications_sent_total")
    assert one.histograms.get("provider_latency_seconds") == other.histograms.get("provider_latency_seconds")


class KilledAtAnyMoment(RuleBasedStateMachine):
    """Two processes count, save, are scraped, killed and restarted in any order; no scrape sees a counter go back."""

    @initialize()
    def begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._clock = ManualClock()
        self._processes = {role: self._started(role) for role in ("api", "bulk")}
        self._counted = 0
        self._highest: Samples = {}

    @rule(role=st.sampled_from(["api", "bulk"]), n=st.integers(1, 5))
    def count(self, role: str, n: int) -> None:
        self._processes[role].metrics.received("low", "news", n)
        self._processes[role].metrics.provider_took("fcm", [0.1] * n)
        self._counted += n

    @rule(role=st.sampled_from(["api", "bulk"]))
    def save(self, role: str) -> None:
        self._processes[role].exchange.save()

    @rule(role=st.sampled_from(["api", "bulk"]))
    def kill_and_restart(self, role: str) -> None:
        self._processes[role] = self._started(role)

    @rule()
    def scrape(self) -> None:
        samples = self._processes["api"].scrape()
        for key, before in self._highest.items():
            assert samples[key] >= before, key
        assert (received(samples) or 0) <= self._counted
        self._highest = {
            key: n for key, n in samples.items() if key[0].endswith(("_total", "_bucket", "_count", "_sum"))
        }

    def teardown(self) -> None:
        self._folder.cleanup()

    def _started(self, role: str) -> Process:
        return asyncio.run(Process(role, Path(self._folder.name), self._clock).start())


KilledAtAnyMoment.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestKilledAtAnyMoment = KilledAtAnyMoment.TestCase
