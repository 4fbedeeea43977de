"""Two scrapes become the on-call board's figures, and the figures a picture."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bellhouse.cli.top_picture import gone, picture
from bellhouse.ingest import degrade
from bellhouse.observability.catalogue import BY_NAME
from bellhouse.ops import top
from bellhouse.ops.doctor.samples import between, parse
from bellhouse.ops.top import Alert, Frame, Starts, frame_of

BEFORE = """
notifications_received_total{priority="high",type="order"} 100
notifications_sent_total{channel="push",provider="fcm",status="success"} 50
notifications_sent_total{channel="push",provider="fcm",status="failed"} 10
process_started_timestamp_seconds{role="bulk"} 900
process_cpu_used_seconds_total{role="bulk"} 5
"""
AFTER = """
notifications_received_total{priority="high",type="order"} 120
notifications_received_total{priority="high",type="bill"} 20
notifications_sent_total{channel="push",provider="fcm",status="success"} 80
notifications_sent_total{channel="push",provider="fcm",status="failed"} 20
notification_end_to_end_seconds_bucket{channel="push",priority="high",le="1.0"} 0
notification_end_to_end_seconds_bucket{channel="push",priority="high",le="2.0"} 100
notification_end_to_end_seconds_bucket{channel="push",priority="high",le="+Inf"} 100
provider_verdicts_total{provider="fcm",verdict="accepted"} 30
provider_verdicts_total{provider="fcm",verdict="retry"} 10
circuit_breaker_state{provider="fcm",channel="push"} 2
kafka_consumer_lag{topic="notifications.high",partition="0",consumer_group="a"} 5
kafka_consumer_lag{topic="deliveries.push.high",partition="0",consumer_group="b"} 7
kafka_consumer_lag{topic="dlq.push",partition="0",consumer_group="c"} 9
oldest_pending_seconds{stage="route",priority="high"} 3
oldest_pending_seconds{stage="due",priority="high"} 8
dead_letters{channel="push"} 4
dead_letters_total{channel="push",reason="dead_lettered:no_provider"} 1
ledger_imbalance 2
ledger_checked_timestamp_seconds 970
gauge_read_timestamp_seconds{gauge="lags"} 990
gauge_read_timestamp_seconds{gauge="ledger"} 700
ingest_degraded_step{role="api"} 1
ingest_degraded_step{role="bulk"} 0
dependency_up{role="bulk",dependency="log"} 0
dependency_up{role="bulk",dependency="store"} 1
levers_pulled{kind="pause"} 2
levers_pulled{kind="rate"} 1
levers_pulled{kind="breaker"} 0
lane_paused{channel="sms",priority="low"} 1
lane_paused{channel="sms",priority="high"} 0
lane_paused{channel="push",priority="critical"} 1
lane_paused{channel="push",priority="high"} 1
lane_paused{channel="push",priority="normal"} 1
lane_paused{channel="push",priority="low"} 1
process_started_timestamp_seconds{role="bulk"} 980
process_memory_bytes{role="bulk"} 50000000
process_cpu_used_seconds_total{role="bulk"} 10
"""


def the_frame(**given: object) -> Frame:
    first, last = between({}, parse(BEFORE), 0), between(parse(BEFORE), parse(AFTER), 10)
    return frame_of(last, 1000, Starts().after(first).after(last), **given)


def drawn(frame: Frame) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(picture(frame))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rates_are_what_counters_grew_by_in_the_window() -> None:
    found = the_frame()
    (high,) = (line for line in found.priorities if line.priority == "high")
    (push,) = (line for line in found.channels if line.channel == "push")
    assert high.received_per_s == 4
    assert (push.attempts_per_s, push.success, push.dead_lettered) == (4, 75, 1)
    assert push.p99_s == pytest.approx(1.99)
    (fcm,) = found.providers
    assert (fcm.breaker, fcm.calls_per_s, fcm.success) == ("half-open", 4, 75)


def test_what_was_not_seen_is_told_as_unknown_and_not_as_zero() -> None:
    nothing = frame_of(between({}, {}, 10), 1000, Starts())
    assert (nothing.ledger_imbalance, nothing.ledger_age_s, nothing.figures_age_s, nothing.alerts) == (None,) * 4
    assert all(line.success is None and line.p99_s is None for line in nothing.channels)
    assert "not checked yet" in drawn(nothing)
    assert "Shared figures are missing" in drawn(nothing)


def test_a_priority_s_queue_is_both_of_its_topics_without_the_feed_of_dead_letters() -> None:
    (high,) = (line for line in the_frame().priorities if line.priority == "high")
    assert (high.queue, high.oldest_s) == (12, 8)


def test_the_worst_that_any_process_tells_counts() -> None:
    found = the_frame()
    assert (found.step, found.ledger_imbalance, found.ledger_age_s, found.figures_age_s) == ("no_low", 2, 30, 300)
    assert found.down == ("bulk: log",)


def test_levers_that_are_pulled_and_what_a_pause_holds_are_told() -> None:
    found = the_frame()
    assert found.levers == {"pause": 2, "rate": 1}
    assert len(found.paused) == 5
    assert "Levers pulled: 2 pauses, 1 rate; paused: " in drawn(found)
    assert {"push", "sms low"} == set(drawn(found).partition("; paused: ")[2].partition("\n")[0].strip().split(", "))
    nothing = frame_of(between({}, {}, 10), 1000, Starts())
    assert "Levers pulled" not in drawn(nothing)


def test_a_process_that_began_anew_is_counted_as_a_restart() -> None:
    (bulk,) = the_frame().processes
    assert (bulk.role, bulk.restarts, bulk.up_s, bulk.cores, bulk.memory_bytes) == ("bulk", 1, 20, 0.5, 50e6)


def test_a_counter_that_went_back_counts_from_zero() -> None:
    last = between(parse(AFTER), parse(BEFORE), 10)
    (push,) = (line for line in frame_of(last, 1000, Starts()).channels if line.channel == "push")
    assert push.attempts_per_s == 6


def test_the_picture_names_what_is_wrong() -> None:
    alert = Alert("LedgerImbalance", "firing", "critical", "2 [unaccounted] for", "2026-11-26T03:00:00Z")
    text = drawn(the_frame(unreachable=("http://a/metrics: refused",), alerts=[alert]))
    for words in (
        "step no_low", "2 unaccounted for", "Shared figures are 5 min old", "Cannot reach bulk: log", "half-open",
        "No answer from http://a/metrics: refused", "LedgerImbalance", "2 [unaccounted] for", "75.0 %", "50 MB",
    ):  # fmt: skip
        assert words in text


def test_the_dead_man_s_switch_is_told_of_when_it_does_not_fire() -> None:
    watchdog = Alert("Watchdog", "firing", "none", "Alerts arrive", "2026-11-26T03:00:00Z")
    assert "Watchdog" not in drawn(the_frame(alerts=[watchdog]))
    assert "No alert is active" in drawn(the_frame(alerts=[watchdog]))
    assert "Watchdog does not fire" in drawn(the_frame(alerts=[]))


def test_a_board_of_whom_nobody_answers_says_that_it_is_old() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(gone(picture(the_frame()), "[Errno 111] refused"))
    assert isinstance(console.file, io.StringIO)
    assert "Nobody answers: [Errno 111] refused. What follows is old." in console.file.getvalue()


def test_it_reads_only_what_exists_and_calls_steps_by_their_names() -> None:
    assert {name.removesuffix("_bucket") for name in top.COUNTERS + top.GAUGES} <= set(BY_NAME)
    assert top.STEPS == degrade.STEPS


@given(st.lists(st.integers(0, 50), min_size=3, max_size=3), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(counts: list[int], share: float) -> None:
    bounds = (1.0, 2.0, 5.0)
    total, lines = 0, []
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        lines.append(f'd_bucket{{le="{bound}"}} {total}')
    found = between({}, parse("\n".join(lines)), 1).quantile("d", share)
    if not total:
        assert found is None
        return
    reached = 0
    for low, bound, count in zip((0.0, *bounds), bounds, counts, strict=False):
        reached += count
        if reached >= share * total and reached > 0:
            assert found is not None
            assert low <= found <= bound
            return
