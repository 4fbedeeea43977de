"""One trace from the caller to the callback, through every process; and one for what failed, though not sampled."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellhouse.domain import trace
from bellhouse.domain.ids import NotificationId, from_text
from tests.acceptance.client import Client
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.people import CHANNELS, DATA, define, person
from tests.acceptance.test_ways import reaches
from tests.acceptance.waiting import wait_until
from tests.observability.otlp import Collector, Recorded

CALLER_TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER_SPAN = "b7ad6b7169203331"
WHOLE_WAY = {
    "receive_notification", "validate", "write_to_outbox", "route", "fetch_preferences", "publish_to_channels",
    "deliver", "fetch_device_tokens", "callback",
}  # fmt: skip


def settings(url: str, ratio: float = 0.0) -> str:
    """Settings of a house whose spans go to a collector."""
    return f'{QUICK}\n[traces]\notlp_url = "{url}"\nsample_ratio = {ratio}\nslow_ms = 0\n'


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    running = World(tmp_path / "world")
    yield running
    running.stop()


def send(client: Client, user_id: str, kind: str, flags: str = "01", **fields: object) -> str:
    """Send one notification as a part of the caller's trace; answers its id."""
    headers = {"traceparent": f"00-{CALLER_TRACE}-{CALLER_SPAN}-{flags}"}
    answer = client.ask(
        "POST", "/v1/notifications", {"user_id": user_id, "type": kind, "data": DATA, **fields}, headers
    )
    identifier: str = answer.ok()["id"]
    own = trace.receive_id(NotificationId(from_text(identifier))).hex()
    assert answer.headers["traceparent"] == f"00-{CALLER_TRACE}-{own}-{flags}"
    return identifier


def is_one_tree(spans: list[Recorded]) -> None:
    """The spans of one notification hang together, below the caller's span."""
    known = {span.id: span for span in spans}
    (root,) = [span for span in spans if span.parent not in known]
    assert (root.name, root.parent) == ("receive_notification", CALLER_SPAN)
    for span in spans:
        if span.parent in known and known[span.parent] is not root:
            above = known[span.parent]
            assert above.start <= span.start, (above, span)
            assert span.end <= above.end, (above, span)


def test_a_callers_trace_goes_through_every_process_to_the_callback(
    tmp_path: Path, world: World, collector: Collector
) -> None:
    with House(tmp_path / "data", world, settings=settings(collector.url)) as house:
        client = house.client()
        define(client)
        ada = person(client)
        identifier = send(client, ada.id, "order")
        for channel in CHANNELS:
            reaches(client, identifier, channel, "delivered")
        client.send(ada.id, "order", data=DATA)  # of this one nothing is recorded

        def arrived() -> bool:
            names = collector.names(CALLER_TRACE)
            callbacks = [span for span in collector.spans(CALLER_TRACE) if span.name == "callback"]
            return names >= WHOLE_WAY | {"send_to_fcm", "send_to_sendgrid", "send_to_twilio"} and len(callbacks) >= 3

        wait_until(arrived, 20, lambda: sorted(collector.names(CALLER_TRACE)))
        rebuilt = {span["id"]: span["name"] for span in house.cli_json("trace", identifier)["spans"]}
        shown = house.cli("trace", identifier)
    spans = list(collector.spans(CALLER_TRACE))
    is_one_tree(spans)
    live = {span.id: span.name for span in spans}
    assert {id: name for id, name in rebuilt.items() if name != "callback"}.items() <= live.items(), (
        "rebuilt spans are the recorded ones"
    )
    services = {span.name: span.service for span in spans}
    assert services["receive_notification"] == services["callback"] == "notification-api"
    assert services["route"] == "notification-router"
    assert (services["send_to_fcm"], services["send_to_twilio"]) == ("push-worker", "sms-worker")
    sends = {span.id for span in spans if span.name.startswith("send_to_")}
    assert all(link[1] in sends for span in spans if span.name == "callback" for link in span.links)
    (received,) = [span for span in spans if span.name == "receive_notification"]
    assert received.attributes.items() >= {
        "notification_id": identifier, "user_id": ada.id, "priority": "high",
    }.items()  # fmt: skip
    told = str([span.attributes for span in collector.spans()])
    for private in (ada.email, ada.phone, ada.token, "Hello Ada"):
        assert private not in told
    batches = [span for span in collector.spans() if span.name.endswith("_batch")]
    assert {CALLER_TRACE} == {link[0] for span in batches for link in span.links}
    assert collector.names(CALLER_TRACE) | {"route_batch", "deliver_batch"} == {s.name for s in collector.spans()}
    assert "send_to_fcm" in shown


def test_a_trace_goes_on_after_its_worker_was_killed(tmp_path: Path, world: World, collector: Collector) -> None:
    with House(tmp_path / "data", world, settings=settings(collector.url)) as house:
        client = house.client()
        define(client)
        ada = person(client)
        world.dial("fcm", latency={"kind": "fixed", "min_ms": 60_000})
        identifier = send(client, ada.id, "order", channels=["push"])
        wait_until(lambda: house.in_flight() == 1 and "route" in collector.names(CALLER_TRACE), 20)
        pid = house.kill("bulk")
        world.dial("fcm", latency={"kind": "fixed", "min_ms": 1})
        wait_until(lambda: house.roles().get("bulk", pid) != pid, 30, house.said)
        reaches(client, identifier, "push", "delivered", 30)
        wait_until(lambda: "callback" in collector.names(CALLER_TRACE), 20, lambda: collector.spans(CALLER_TRACE))
    spans = list(collector.spans(CALLER_TRACE))
    is_one_tree(spans)
    delivers = sorted((span for span in spans if span.name == "deliver"), key=lambda span: span.start)
    assert [span.attributes["state"] for span in delivers] == ["unknown", "sent"]
    assert delivers[0].failed


def test_what_failed_gets_its_whole_trace_though_it_was_not_sampled(
    tmp_path: Path, world: World, collector: Collector
) -> None:
    with House(tmp_path / "data", world, settings=settings(collector.url)) as house:
        client = house.client()
        define(client)
        ada = person(client)
        fine = client.send(ada.id, "order", data=DATA, channels=["in_app"])
        unlucky = client.send(ada.id, "order", data={"n": 1}, channels=["push"])
        reaches(client, fine, "in_app", "delivered")
        reaches(client, unlucky, "push", "dead_lettered")
        own = unlucky.replace("-", "")
        wait_until(lambda: collector.names(own) >= {"receive_notification", "route", "deliver"}, 20, house.said)
    (failed,) = [span for span in collector.spans(own) if span.name == "deliver"]
    assert failed.failed
    assert failed.attributes["reason"] == "dead_lettered:not_rendered"
    assert {span.trace_id for span in collector.spans()} == {own}


def test_a_collector_that_is_away_slows_nothing_and_is_said_once(tmp_path: Path, world: World) -> None:
    closed = Collector()
    closed.close()
    with House(tmp_path / "data", world, 1, settings(closed.url, 1.0)) as house:
        client = house.client()
        define(client)
        ada = person(client)
        began = time.monotonic()
        sent = [client.send(ada.id, "order", data=DATA, channels=["in_app"]) for _ in range(300)]
        reaches(client, sent[-1], "in_app", "delivered")
        wait_until(lambda: "Traces are dropped" in house.said(), 20)
        assert time.monotonic() - began < 60
        house.balances()

        def dropped() -> bool:
            text = client.ask("GET", "/metrics").body.decode()
            lost = [line for line in text.splitlines() if line.startswith('trace_spans_total{outcome="dropped"}')]
            return float(lost[0].rsplit(" ", 1)[1]) > 0

        wait_until(dropped, 20)
        assert house.stop() == 0
    log = (tmp_path / "data.log").read_text()
    assert log.count("Traces are dropped") == 1
