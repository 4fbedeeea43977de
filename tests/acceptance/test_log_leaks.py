"""Whatever goes wrong, logs and traces say nothing private; and the log's catalogue has exactly its fields."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.acceptance.cluster import ClusterHouse, cluster_engines
from tests.acceptance.house import QUICK, House, World
from tests.acceptance.people import CHANNELS, Person, define, person
from tests.acceptance.test_traces import WHOLE_WAY
from tests.acceptance.test_ways import reaches
from tests.acceptance.waiting import wait_until
from tests.observability.otlp import Collector

LOUD = QUICK.replace('sampling = "off"', 'sampling = "all"\nlevel = "debug"')
WORDS = "zanzibar-4711"
"""What the content says and the log must not."""
FAULTS = {
    "fcm": {"errors": {"unregistered": 0.2, "internal": 0.2, "invalid_argument": 0.2}},
    "sendgrid": {"errors": {"400": 0.3, "503": 0.3}},
    "smtp": {"errors": {"rcpt_550": 0.3, "dot_554": 0.3}},
    "twilio": {"errors": {"20503": 0.3, "20003": 0.2}},
    "vonage": {"errors": {"3": 0.3, "7": 0.2}},
}
RECEIVED = {
    "timestamp", "level", "service", "message", "notification_id", "user_id", "tenant", "notification_type",
    "priority",
}  # fmt: skip
ATTEMPTED = {
    "timestamp", "level", "service", "message", "notification_id", "delivery_id", "user_id", "channel", "provider",
    "success", "duration_ms", "tenant",
}  # fmt: skip
CHANGED = {
    "timestamp", "level", "service", "message", "provider", "channel", "old_state", "new_state", "failure_count",
}  # fmt: skip
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where spans go."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture(params=["two-processes", "cluster"])
def loud(request: pytest.FixtureRequest, world: World, collector: Collector, tmp_path: Path) -> Iterator[House]:
    """A house that logs everything it can, and traces what it is asked for and what fails."""
    settings = f'{LOUD}\n[traces]\notlp_url = "{collector.url}"\nsample_ratio = 0\n'
    world.fresh()
    world.calm()
    with ExitStack() as ended:
        if request.param == "cluster":
            engines, prefix = ended.enter_context(cluster_engines(request))
            house = ended.enter_context(ClusterHouse(tmp_path / "data", world, engines, prefix, settings))
        else:
            house = ended.enter_context(House(tmp_path / "data", world, 2, settings))
        define(house.client())
        yield house
        world.calm()


def log_of(house: House) -> str:
    """Everything that any of its processes logged; what `serve` prints for whoever started it is no log."""
    if isinstance(house, ClusterHouse):
        return "\n".join(kept.log.read_text(errors="replace") for kept in house.kept.values())
    text = (house.data.parent / f"{house.data.name}.log").read_text(errors="replace")
    return "\n".join(line for line in text.splitlines() if not line.startswith('{"url":'))


def lines_of(log: str) -> Sequence[dict[str, Any]]:
    """Its lines, each of which is one JSON object."""
    return [json.loads(line) for line in log.splitlines() if line]


def ended(client: Client, identifiers: Sequence[str]) -> bool:
    """Whether nothing of these is on its way any more."""
    open_states = ("waiting", "in_flight", "unknown")
    stories = [client.story(identifier) for identifier in identifiers]
    return all(
        story["state"] != "waiting" and not any(one["state"] in open_states for one in story["deliveries"])
        for story in stories
    )


def misuse(client: Client, someone: Person) -> None:
    """Everything that a caller and a forger can get wrong, with private things in it."""
    private = {"user_id": someone.id, "type": "order", "data": {"who": WORDS, "n": 1}}
    for body in (
        f'{{"user_id": "{someone.email}", "type": '.encode(),
        {**private, "user_id": someone.email},
        {**private, "channels": [someone.phone]},
        {**private, someone.email: WORDS},
        {**private, "send_at": someone.phone},
    ):
        assert client.ask("POST", "/v1/notifications", body).status in (400, 422)
    client.ask("PUT", f"/v1/recipients/{someone.id}", {"contacts": [{"channel": "email", "address": f"@{WORDS}"}]})
    client.ask("PUT", "/v1/templates/broken", {"locales": {"en": {"sms": {"text": "{{ " + WORDS}}}})
    client.ask("GET", f"/v1/suppressions/{someone.phone}")
    client.ask("GET", f"/v1/notifications/{someone.email}")
    client.ask("GET", "/v1/ledger", headers={"authorization": f"Bearer bh_dev_{someone.token[:40]}"})
    form = f"MessageStatus=delivered&MessageSid=SM1&To=%2B{someone.phone[1:]}&Body={WORDS}".encode()
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "AAAA"}
    assert client.ask("POST", "/callbacks/twilio", form, headers).status == 401
    client.ask("POST", "/callbacks/smtp", f"Final-Recipient: rfc822; {someone.email}".encode())
    client.ask("POST", "/callbacks/sendgrid", json.dumps([{"email": someone.email}]).encode())


def test_a_busy_run_with_every_kind_of_failure_says_nothing_private(
    loud: House, world: World, collector: Collector
) -> None:
    client = loud.client()
    crowd = [person(client) for _ in range(12)]
    for provider, dials in FAULTS.items():
        world.dial(provider, **dials)
    data = {"who": WORDS, "n": 4711}
    sent = [client.send(one.id, "order", data=data) for one in crowd]
    sent.append(client.send(crowd[0].id, "order", data={"n": WORDS}))  # cannot be rendered
    misuse(client, crowd[1])
    world.dial("twilio", errors={"20003": 0, "20503": 1})  # until its breaker opens
    sent += [client.send(one.id, "order", data=data, channels=["sms"]) for one in crowd]
    wait_until(lambda: "Circuit breaker state changed" in log_of(loud), 40)
    world.calm()
    for provider in FAULTS:
        client.post(f"/v1/breakers/{provider}/reset")
    sent.append(_traced(client, collector, person(client).id, data))
    wait_until(lambda: ended(client, sent), 60, lambda: [client.story(one) for one in sent if not ended(client, [one])])
    log = log_of(loud)
    assert client.key is not None
    private = [WORDS, client.key, client.key.rsplit("_", 1)[1]]
    for one in crowd:
        private += [one.email, one.token, one.token[:60], one.phone, one.phone[1:]]
    accounts = [account for account in world.api.credentials().values() if isinstance(account, dict)]
    for secrets in accounts:
        private += [str(value) for name, value in secrets.items() if "token" in name or "secret" in name]
    leaked = [line for line in log.splitlines() if any(text in line for text in private)]
    assert leaked == []
    wait_until(lambda: any(span.failed and span.trace_id != TRACE for span in collector.spans()), what="failures kept")
    spans = str([(span.name, span.attributes) for span in collector.spans()])
    assert [text for text in private if text in spans] == []

    lines = lines_of(log)
    _has_fields(lines, "Notification received", RECEIVED, {"trace_id", "sampled"})
    _has_fields(lines, "Delivery attempted", ATTEMPTED, {"trace_id", "sampled", "error"})
    _has_fields(lines, "Circuit breaker state changed", CHANGED, set())
    told = [line for line in lines if line["message"] == "Delivery attempted"]
    assert {line["channel"] for line in told} == set(CHANNELS)
    assert all((line["level"] == "INFO") == line["success"] for line in told)
    assert all(line["success"] or line["error"] for line in told)
    of_the_caller = {line["message"] for line in lines if line.get("trace_id") == TRACE}
    assert of_the_caller == {"Notification received", "Delivery attempted"}


def _traced(client: Client, collector: Collector, user_id: str, data: object) -> str:
    """Send one as part of a caller's trace, and see its spans from every process."""
    body = {"user_id": user_id, "type": "order", "data": data}
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    identifier: str = client.ask("POST", "/v1/notifications", body, headers).ok()["id"]
    for channel in CHANNELS:
        reaches(client, identifier, channel, "delivered", 40)
    wanted = WHOLE_WAY | {"send_to_fcm"}
    wait_until(lambda: collector.names(TRACE) >= wanted, 20, lambda: sorted(collector.names(TRACE)))
    services = {span.name: span.service for span in collector.spans(TRACE)}
    assert services["receive_notification"] == services["callback"] == "notification-api"
    assert (services["route"], services["send_to_fcm"]) == ("notification-router", "push-worker")
    return identifier


def _has_fields(lines: Sequence[dict[str, Any]], message: str, always: set[str], sometimes: set[str]) -> None:
    found = [line for line in lines if line["message"] == message]
    assert found, message
    for line in found:
        assert always <= set(line) <= always | sometimes, line
