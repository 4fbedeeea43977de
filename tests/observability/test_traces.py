"""Spans reach a collector as they are, a collector that is away costs spans and nothing else, and is said once."""

import asyncio
import threading
from collections.abc import Iterator, Mapping

import pytest

from bellhouse.domain import trace
from bellhouse.domain.ids import new_notification_ids
from bellhouse.domain.trace import Link, Span
from bellhouse.observability import traces
from bellhouse.observability.traces import KEPT, OtlpTracing, Target, send, traces_url
from bellhouse.ports.telemetry import NullTelemetry, SpanOutcome
from bellhouse.testing.records import NOON
from tests.acceptance.waiting import wait_until
from tests.observability.otlp import Collector
from tests.observability.recorded import RecordedLogbook

FIRST, SECOND = new_notification_ids(NOON, 2)


class Counted(NullTelemetry):
    """Counts what became of spans."""

    def __init__(self) -> None:
        self.count: dict[SpanOutcome, int] = {"exported": 0, "dropped": 0}
        self._lock = threading.Lock()

    def spans(self, outcome: SpanOutcome, n: int = 1) -> None:  # type: ignore[override]  # it counts
        with self._lock:
            self.count[outcome] += n


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def span(user_id: str = "ada", number: int = 0, **more: object) -> Span:
    start = NOON * 1_000_000
    about: Mapping[str, trace.AttributeValue] = {"user_id": user_id, "attempt": 1, "rebuilt": True}
    link = Link(bytes(SECOND), trace.receive_id(SECOND))
    own = trace.span_id(FIRST, "route", number)
    return Span(
        bytes(FIRST), own, trace.receive_id(FIRST), "route", "notification-router", start, start + 5_000_000, about,
        (link,), "consumer", "failed",
    )  # fmt: skip


def tracing(url: str, telemetry: Counted, book: RecordedLogbook, queue: int = 100, **target: object) -> OtlpTracing:
    return OtlpTracing(Target(url, **target), "api-1", "0", telemetry, book, queue)  # type: ignore[arg-type]


async def test_a_span_arrives_with_everything_that_it_says(collector: Collector) -> None:
    telemetry = Counted()
    made = tracing(collector.url, telemetry, RecordedLogbook(), headers={"x-key": "secret"})
    made.emit([span(), span("bob@example.com", 1)])
    await made.close()
    assert telemetry.count == {"exported": 2, "dropped": 0}
    by_user = {str(one.attributes["user_id"]): one for one in collector.spans()}
    ada = by_user.pop("ada")
    assert "bob" not in next(iter(by_user)), "an address that serves as a name is masked"
    assert (ada.trace_id, ada.parent, ada.name) == (FIRST.hex(), trace.receive_id(FIRST).hex(), "route")
    assert (ada.service, ada.failed, ada.end - ada.start) == ("notification-router", True, 5_000_000)
    assert ada.attributes == {"user_id": "ada", "attempt": 1, "rebuilt": True}
    assert ada.links == ((SECOND.hex(), trace.receive_id(SECOND).hex()),)
    assert collector.headers[0]["x-key"] == "secret"


async def test_a_collector_that_is_away_costs_spans_alone_and_is_said_once(collector: Collector) -> None:
    collector.status = 400
    telemetry, book = Counted(), RecordedLogbook()
    made = tracing(collector.url, telemetry, book)
    made.emit([span()])
    wait_until(lambda: telemetry.count["dropped"] == 1)
    made.emit([span()])
    wait_until(lambda: telemetry.count["dropped"] == 2)
    collector.status = 200
    made.emit([span()])
    wait_until(lambda: telemetry.count["exported"] == 1)
    await made.close()
    assert [(level, text) for level, text, _ in book.notes] == [
        ("warning", "Traces are dropped: their collector does not take them"),
        ("info", "Traces are taken again"),
    ]


async def test_what_does_not_fit_into_the_queue_is_dropped_and_counted() -> None:
    telemetry = Counted()
    made = tracing("http://127.0.0.1:9", telemetry, RecordedLogbook(), queue=10)
    made.emit([span(number=n) for n in range(500)])
    assert telemetry.count["dropped"] >= 490
    made._processor.force_flush()
    assert telemetry.count["dropped"] == 500
    await made.close()


def test_last_spans_that_leave_after_their_process_has_gone_on_disturb_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, disturbed = threading.Event(), list[object]()
    monkeypatch.setattr(traces, "_LAST_WORDS_S", 0.0)
    monkeypatch.setattr(threading, "excepthook", disturbed.append)
    made = tracing("http://127.0.0.1:9", Counted(), RecordedLogbook())
    monkeypatch.setattr(made._processor, "force_flush", goes_on.wait)
    asyncio.run(made.close())
    goes_on.set()
    wait_until(lambda: not any(thread.name == "traces-end" for thread in threading.enumerate()))
    assert disturbed == []


async def test_what_is_sampled_gets_a_context_of_its_own_and_what_is_asked_for_is_bounded(collector: Collector) -> None:
    every = tracing(collector.url, Counted(), RecordedLogbook(), sample_ratio=1.0, slow_ms=2_000)
    none = tracing(collector.url, Counted(), RecordedLogbook(), sample_ratio=0.0)
    assert every.begin(FIRST) == f"00-{FIRST.hex()}-{trace.receive_id(FIRST).hex()}-01"
    assert none.begin(FIRST) is None
    assert every.is_slow(2_001)
    assert not every.is_slow(2_000)
    assert not none.is_slow(1_000_000)
    ids = new_notification_ids(NOON, KEPT + 50)
    for identifier in (ids[0], *ids):
        every.keep(identifier)
    assert every.kept(2) == ids[:2]
    assert every.kept(1_000) == ids[2:KEPT]
    await every.close()
    await none.close()


def test_spans_are_sent_at_once_where_somebody_waits_for_the_answer(collector: Collector) -> None:
    assert send([span()], Target(collector.url), "command-line", "0")
    collector.status = 400
    assert not send([span()], Target(collector.url), "command-line", "0")
    assert len(collector.spans()) == 1


def test_the_path_of_traces_is_added_where_it_is_missing() -> None:
    assert traces_url("http://a:4318/") == traces_url("http://a:4318/v1/traces") == "http://a:4318/v1/traces"
