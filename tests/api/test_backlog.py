"""The backlog over HTTP: how much waits, what has expired in it, and device tokens that have died."""

import msgspec

from bellhouse.domain.delivery import Delivery
from bellhouse.ports.log import deliveries_topic
from tests.api.face import ASKED, Face
from tests.api.test_reading import _planned

SKIP = "/v1/queue/skip-expired"
YEAR_S = 366 * 86_400


async def _queue(face: Face) -> dict[str, int]:
    return {each["topic"]: each["lag"] for each in (await face.call("GET", "/v1/queue")).json["topics"] if each["lag"]}


async def _acts(face: Face, act: str) -> list[str]:
    return [row["after"] for row in (await face.call("GET", f"/v1/audit?act={act}")).json["acts"]]


async def test_what_waits_is_told_by_topic_with_its_age_and_whether_it_is_paused(face: Face) -> None:
    assert await _queue(face) == {}
    await face.call("POST", "/v1/notifications", ASKED | {"priority": "low"})
    await face.clock.advance(60)
    await face.call("POST", "/v1/levers/pause", {"channel": "sms", "priority": "low"})
    topics = {each["topic"]: each for each in (await face.call("GET", "/v1/queue")).json["topics"]}
    waiting = topics["notifications.low"]
    assert (waiting["lag"], waiting["oldest_s"], waiting["paused"]) == (1, 60.0, False)
    assert [topic for topic, each in topics.items() if each["paused"]] == ["deliveries.sms.low"]


async def test_a_notification_that_has_expired_in_the_backlog_is_ended_once(face: Face) -> None:
    first = (await face.call("POST", "/v1/notifications", ASKED)).json["id"]
    await face.clock.advance(YEAR_S)
    await face.call("POST", "/v1/notifications", ASKED)
    tried = (await face.call("POST", SKIP, {"dry_run": True})).json
    assert (tried["notifications"], tried["deliveries"], tried["more"]) == (1, 0, False)
    for ended in (1, 0):
        assert (await face.call("POST", SKIP, {"why": "old"})).json["notifications"] == ended
    assert (await face.call("GET", f"/v1/notifications/{first}")).json["state"] == "expired"
    assert await _acts(face, "skip_expired") == ["1 notifications, 0 deliveries"]
    assert (await face.call("GET", "/v1/ledger?recount=true")).json["imbalance"] == 0


async def test_a_delivery_that_has_expired_in_the_backlog_is_ended_where_it_was_asked_for(face: Face) -> None:
    note, _ = await _planned(face)
    topic = deliveries_topic("push", note.priority)
    (record, *_) = await face.store.log.poll(topic, 0, 10)
    await face.clock.advance(
        (msgspec.msgpack.decode(record.value, type=Delivery).expires_at - note.received_at) / 1000 + 1
    )
    assert (await face.call("POST", SKIP, {"channel": "sms"})).json["deliveries"] == 0
    assert (await face.call("POST", SKIP, {"channel": "push", "dry_run": True})).json["deliveries"] == 1
    assert (await face.call("POST", SKIP, {"channel": "push"})).json["deliveries"] == 1
    assert (await face.call("POST", SKIP, {"channel": "push"})).json["deliveries"] == 0
    assert (await face.call("GET", "/v1/ledger?recount=true")).json["imbalance"] == 0


async def test_tokens_of_profiles_that_nobody_has_stored_for_long_are_removed_and_counted(face: Face) -> None:
    assert (await face.call("POST", "/v1/token-cleanup", {})).json["removed"] == 0
    await face.clock.advance(YEAR_S)
    tried = (await face.call("POST", "/v1/token-cleanup", {"dry_run": True})).json
    done = (await face.call("POST", "/v1/token-cleanup", {"why": "old"})).json
    assert tried["removed"] == done["removed"] > 0
    contacts = (await face.call("GET", "/v1/recipients/ada")).json["contacts"]
    assert contacts
    assert "push" not in {contact["channel"] for contact in contacts}
    assert await _acts(face, "token_cleanup") == [f"{done['removed']} tokens"]
    assert (await face.call("POST", "/v1/token-cleanup", {"older_than_days": 1})).faults == {
        "older_than_days": "too_small"
    }


async def test_a_suppression_is_recorded_without_its_address(face: Face) -> None:
    path = "/v1/suppressions/ada@example.com"
    await face.call("PUT", path, {"reason": "complaint", "detail": "She called."})
    await face.call("DELETE", path)
    acts = (await face.call("GET", "/v1/audit")).json["acts"]
    assert [(act["act"], act["why"]) for act in acts] == [("suppression_lift", ""), ("suppression_add", "She called.")]
    assert "ada@" not in str(acts)
