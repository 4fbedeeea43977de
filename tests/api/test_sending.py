"""Sending notifications: validation, keys, batches, dry runs."""

from typing import Any

import msgspec
import pytest

from bellhouse.ingest.wire import BatchRequest, NotificationRequest, RawBatch
from bellhouse.testing.clock import START
from bellhouse.web.limits import Limits
from bellhouse.web.times import rfc3339
from tests.api.face import ASKED, Face, ask

DAY = 86_400_000


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


FAULTY: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("nothing is there", {"user_id": ..., "type": ...}, {"user_id": "required", "type": "required"}),
    ("wrong types", {"user_id": 7, "type": []}, {"user_id": "wrong_type", "type": "wrong_type"}),
    ("an unknown field", {"colour": "red"}, {"colour": "unknown_field"}),
    ("an empty user", {"user_id": ""}, {"user_id": "too_short"}),
    ("a long user", {"user_id": "u" * 257}, {"user_id": "too_long"}),
    ("a stranger", {"user_id": "eve"}, {"user_id": "unknown_recipient"}),
    ("a stranger's name with a zero", {"user_id": "a\0b"}, {"user_id": "unknown_recipient"}),
    ("a type with a zero", {"type": "a\0b"}, {"type": "unknown_type"}),
    ("an unknown type", {"type": "nothing"}, {"type": "unknown_type"}),
    ("both unknown", {"user_id": "eve", "type": "no"}, {"user_id": "unknown_recipient", "type": "unknown_type"}),
    ("a priority that is none", {"priority": "urgent"}, {"priority": "not_allowed"}),
    ("a channel that is none", {"channels": ["push", "fax"]}, {"channels[1]": "not_allowed"}),
    ("no channel at all", {"channels": []}, {"channels": "too_few"}),
    ("a channel twice", {"channels": ["push", "push"]}, {"channels": "duplicate"}),
    ("data of another type", {"data": [1]}, {"data": "wrong_type"}),
    ("data too deep", {"data": {"a": nested(8)}}, {"data": "too_deep"}),
    ("data too large", {"data": {"a": "x" * 16_384}}, {"data": "too_large"}),
    ("a key of 300 characters", {"idempotency_key": "k" * 300}, {"idempotency_key": "too_long"}),
    ("an empty key", {"idempotency_key": ""}, {"idempotency_key": "too_short"}),
    ("a key with a line break", {"idempotency_key": "a\nb"}, {"idempotency_key": "invalid_format"}),
    ("an empty campaign", {"campaign": ""}, {"campaign": "too_short"}),
    ("a campaign of 129 characters", {"campaign": "c" * 129}, {"campaign": "too_long"}),
    ("a campaign with a space", {"campaign": "spring sale"}, {"campaign": "invalid_format"}),
    ("a campaign of another type", {"campaign": 7}, {"campaign": "wrong_type"}),
    ("a moment without zone", {"send_at": "2026-11-23T05:00:00"}, {"send_at": "invalid_format"}),
    ("a moment that is none", {"send_at": "tomorrow"}, {"send_at": "invalid_format"}),
    ("a moment of a wrong type", {"send_at": 1}, {"send_at": "wrong_type"}),
    ("a moment long past", {"send_at": rfc3339(START - DAY)}, {"send_at": "in_the_past"}),
    ("a moment too far ahead", {"send_at": rfc3339(START + 401 * DAY)}, {"send_at": "too_far_ahead"}),
    ("an expiry in the past", {"expires_at": rfc3339(START - 1)}, {"expires_at": "in_the_past"}),
    (
        "an expiry before sending",
        {"send_at": rfc3339(START + DAY), "expires_at": rfc3339(START + DAY - 1)},
        {"expires_at": "not_after_send_at"},
    ),
    (
        "several at once",
        {"priority": 1, "send_at": "x", "colour": 1, "type": ...},
        {"priority": "wrong_type", "send_at": "invalid_format", "colour": "unknown_field", "type": "required"},
    ),
]


@pytest.mark.parametrize(("change", "faults"), [pytest.param(*case[1:], id=case[0]) for case in FAULTY])
async def test_every_faulty_field_is_named(face: Face, change: dict[str, Any], faults: dict[str, str]) -> None:
    body = {name: value for name, value in (ASKED | change).items() if value is not ...}
    answer = await face.call("POST", "/v1/notifications", body)
    assert answer.faults == faults
    assert face.telemetry.reasons
    listed = await face.call("GET", "/v1/notifications")
    assert listed.json["notifications"] == []


async def test_data_may_be_as_deep_and_as_large_as_the_limits(face: Face) -> None:
    for data in ({"a": nested(7)}, {"a": "x" * (16_384 - len('{"a":""}'))}):
        assert (await face.call("POST", "/v1/notifications", ASKED | {"data": data})).status == 202


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"{'user_id': 1}", "malformed_json"),
        (b'{"user_id":"\xff","type":"t"}', "not_utf8"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b'{"user_id":"\\ud800","type":"t"}', "malformed_json"),
        (b"[" * 100_000, "validation_failed"),
        (b"null", "validation_failed"),
        (b'"text"', "validation_failed"),
        (b'{"data":{"a":1e999}}', "validation_failed"),
        (b'{"data":{"a":' + b"9" * 5_000 + b"}}", "validation_failed"),
        (b'{"data":NaN}', "malformed_json"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/notifications", "/v1/notifications/batch", "/v1/recipients/batch"])
async def test_what_is_no_request_is_a_clear_problem(face: Face, path: str, raw: bytes, code: str) -> None:
    answer = await face.call("POST", path, raw=raw)
    if code != "validation_failed" and path == "/v1/recipients/batch" and not raw:
        code = "validation_failed"
    assert answer.problem.code == code


async def test_an_accepted_notification_can_be_read_at_once(face: Face) -> None:
    answer = await face.call("POST", "/v1/notifications", ASKED | {"channels": ["email"], "collapse_key": "c"})
    assert answer.status == 202
    assert answer.headers["content-type"] == "application/json"
    story = (await face.call("GET", f"/v1/notifications/{answer.json['id']}")).json
    assert (story["user_id"], story["type"], story["priority"]) == ("ada", "order_shipped", "high")
    assert (story["state"], story["data"], story["channels"]) == ("waiting", {"order": "A-7"}, ["email"])
    assert (story["received_at"], story["expires_at"]) == (rfc3339(START), rfc3339(START + DAY))


async def test_a_campaign_is_kept_listed_and_part_of_what_a_key_stands_for(face: Face) -> None:
    plain = (await face.call("POST", "/v1/notifications", ASKED)).json["id"]
    asked = ASKED | {"campaign": "spring-sale", "idempotency_key": "k"}
    single = (await face.call("POST", "/v1/notifications", asked)).json["id"]
    await face.clock.advance(1)
    items = [ASKED | {"campaign": "spring-sale"}, ASKED | {"campaign": "a b"}, ASKED | {"campaign": "summer.1"}]
    spring, bad, summer = (await face.call("POST", "/v1/notifications/batch", {"notifications": items})).json["results"]
    assert [(fault["field"], fault["code"]) for fault in bad["error"]["errors"]] == [
        ("notifications[1].campaign", "invalid_format")
    ]
    stories = [
        (await face.call("GET", f"/v1/notifications/{number}")).json["campaign"]
        for number in (plain, single, spring["id"], summer["id"])
    ]
    assert stories == [None, "spring-sale", "spring-sale", "summer.1"]
    listed = (await face.call("GET", "/v1/notifications?campaign=spring-sale")).json["notifications"]
    assert [(line["id"], line["campaign"]) for line in listed] == [
        (spring["id"], "spring-sale"),
        (single, "spring-sale"),
    ]
    assert (await face.call("GET", "/v1/notifications?campaign=a%20b")).faults == {"campaign": "invalid_format"}
    again = await face.call("POST", "/v1/notifications", asked | {"campaign": "summer.1"})
    assert again.problem.code == "idempotency_key_reused"


async def test_send_at_and_expires_at_are_kept(face: Face) -> None:
    asked = ASKED | {"send_at": rfc3339(START + DAY), "expires_at": rfc3339(START + 2 * DAY)}
    answer = await face.call("POST", "/v1/notifications", asked)
    story = (await face.call("GET", f"/v1/notifications/{answer.json['id']}")).json
    assert (story["send_at"], story["expires_at"]) == (asked["send_at"], asked["expires_at"])


async def test_a_send_at_that_has_just_passed_means_at_once(face: Face) -> None:
    answer = await face.call("POST", "/v1/notifications", ASKED | {"send_at": rfc3339(START - 60_000)})
    story = (await face.call("GET", f"/v1/notifications/{answer.json['id']}")).json
    assert story["send_at"] is None


@pytest.mark.parametrize("header", ["k-1", '"k-1"'])
async def test_a_repeated_key_gets_the_first_answer(face: Face, header: str) -> None:
    first = await face.call("POST", "/v1/notifications", ASKED, headers={"Idempotency-Key": "k-1"})
    again = await face.call("POST", "/v1/notifications", ASKED, headers={"Idempotency-Key": header})
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len((await face.call("GET", "/v1/notifications")).json["notifications"]) == 1


async def test_a_key_with_another_body_is_refused(face: Face) -> None:
    await face.call("POST", "/v1/notifications", ASKED | {"idempotency_key": "k"})
    again = await face.call("POST", "/v1/notifications", ASKED | {"idempotency_key": "k", "priority": "low"})
    assert again.problem.code == "idempotency_key_reused"


async def test_a_key_lives_for_24_hours(face: Face) -> None:
    first = await face.call("POST", "/v1/notifications", ASKED | {"idempotency_key": "k"})
    await face.clock.advance(86_399)
    assert (await face.call("POST", "/v1/notifications", ASKED | {"idempotency_key": "k"})).body == first.body
    await face.clock.advance(2)
    assert (await face.call("POST", "/v1/notifications", ASKED | {"idempotency_key": "k"})).body != first.body


async def test_header_and_body_must_agree_on_the_key(face: Face) -> None:
    headers = {"Idempotency-Key": "other"}
    answer = await face.call("POST", "/v1/notifications", ASKED | {"idempotency_key": "k"}, headers=headers)
    assert answer.faults == {"idempotency_key": "mismatch"}
    long = await face.call("POST", "/v1/notifications", ASKED, headers={"Idempotency-Key": "k" * 256})
    assert long.faults == {"Idempotency-Key": "invalid_format"}


async def test_tenants_do_not_share_keys(face: Face) -> None:
    other = await face.key("globex")
    for path in ("/v1/types/order_shipped", "/v1/recipients/ada"):
        body = {"category": "product"} if "types" in path else {}
        await face.call("PUT", path, body, token=other)
    first = await face.call("POST", "/v1/notifications", ASKED | {"idempotency_key": "k"})
    second = await face.call("POST", "/v1/notifications", ASKED | {"idempotency_key": "k"}, token=other)
    assert second.status == 202
    assert first.body != second.body


async def test_a_batch_has_a_result_for_each_item_in_order(face: Face) -> None:
    items = [
        ASKED | {"idempotency_key": "a"},
        {"user_id": "eve"},
        7,
        ASKED | {"user_id": "eve"},
        ASKED | {"idempotency_key": "a"},
        ASKED | {"idempotency_key": "a", "priority": "low"},
        ASKED | {"dry_run": True},
        ASKED,
    ]
    answer = await face.call("POST", "/v1/notifications/batch", {"notifications": items})
    assert answer.status == 202
    results = answer.json["results"]
    assert [("id" in result) for result in results] == [True, False, False, False, True, False, False, True]
    assert results[0]["id"] == results[4]["id"] != results[7]["id"]
    errors = [
        {fault["field"]: fault["code"] for fault in results[at]["error"].get("errors", [])} for at in (1, 2, 3, 6)
    ]
    assert errors == [
        {"notifications[1].type": "required"},
        {"notifications[2]": "wrong_type"},
        {"notifications[3].user_id": "unknown_recipient"},
        {"notifications[6].dry_run": "not_in_batch"},
    ]
    assert results[5]["error"]["code"] == "idempotency_key_reused"


async def test_a_batch_larger_than_one_commit_keeps_its_order(face: Face) -> None:
    items = [ASKED | {"data": {"order": str(number)}} for number in range(1_000)]
    answer = await face.call("POST", "/v1/notifications/batch", {"notifications": items})
    ids = [result["id"] for result in answer.json["results"]]
    assert len(set(ids)) == 1_000
    for place in (0, 299, 300, 999):
        story = (await face.call("GET", f"/v1/notifications/{ids[place]}")).json
        assert story["data"] == {"order": str(place)}


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, {"notifications": "required"}),
        ({"notifications": []}, {"notifications": "too_few"}),
        ({"notifications": [ASKED] * 1_001}, {"notifications": "too_many"}),
        ({"notifications": {}}, {"notifications": "wrong_type"}),
        ({"notifications": [ASKED], "more": 1}, {"more": "unknown_field"}),
    ],
)
async def test_a_batch_that_is_none_is_refused_whole(face: Face, body: Any, faults: dict[str, str]) -> None:
    assert (await face.call("POST", "/v1/notifications/batch", body)).faults == faults


async def test_one_key_for_a_whole_batch_is_refused(face: Face) -> None:
    headers = {"Idempotency-Key": "k"}
    answer = await face.call("POST", "/v1/notifications/batch", {"notifications": [ASKED]}, headers=headers)
    assert answer.faults == {"Idempotency-Key": "not_in_batch"}


async def test_a_dry_run_shows_the_messages_and_sends_nothing(face: Face) -> None:
    answer = await face.call("POST", "/v1/notifications", ASKED | {"dry_run": True})
    assert answer.status == 200
    plan = answer.json
    assert (plan["state"], plan["priority"], plan["template_version"]) == ("planned", "high", 1)
    assert [(one["channel"], one["message"]) for one in plan["deliveries"]] == [
        ("push", {"title": "Shipped", "body": "Order A-7 is on its way."}),
        ("email", {"subject": "Order A-7", "text": "It is on its way."}),
    ]
    assert (await face.call("GET", "/v1/notifications")).json["notifications"] == []


async def test_a_dry_run_says_why_not(face: Face) -> None:
    await face.call("PUT", "/v1/recipients/ada/preferences", {"channels": {"push": False, "email": False}})
    plan = (await face.call("POST", "/v1/notifications", ASKED | {"dry_run": True})).json
    assert plan["state"] == "suppressed"
    assert {(reason["channel"], reason["code"]) for reason in plan["reasons"]} == {
        ("push", "suppressed:channel_off"),
        ("email", "suppressed:channel_off"),
    }
    assert all(reason["sentence"].endswith(".") for reason in plan["reasons"])


async def test_a_dry_run_shows_a_message_that_cannot_be_rendered(face: Face) -> None:
    plan = (await face.call("POST", "/v1/notifications", ASKED | {"data": {}, "dry_run": True})).json
    assert {one["channel"] for one in plan["deliveries"] if "order is missing" in one["error"]} == {"push", "email"}


async def test_a_cancelled_notification_stays_cancelled(face: Face) -> None:
    asked = ASKED | {"send_at": rfc3339(START + DAY)}
    number = (await face.call("POST", "/v1/notifications", asked)).json["id"]
    for _ in range(2):
        answer = await face.call("POST", f"/v1/notifications/{number}/cancel")
        assert (answer.status, answer.json["state"]) == (200, "cancelled")
    why = (await face.call("GET", f"/v1/notifications/{number}/why")).json
    assert why["sentences"] == ["All channels: not sent. The caller cancelled it."]


class TestLimits:
    """What is refused before it costs anything."""

    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(tenant_rate_per_s=10, tenant_burst=20, body_bytes=2_000, batch_body_bytes=10_000, backlog=100)

    async def test_a_tenant_that_is_too_fast_is_told_when_to_come_back(self, face: Face) -> None:
        batch = {"notifications": [ASKED] * 20}
        assert (await face.call("POST", "/v1/notifications/batch", batch)).status == 202
        answer = await face.call("POST", "/v1/notifications", ASKED)
        assert answer.problem.code == "rate_limited"
        assert answer.headers["retry-after"] == "1"
        other = await face.key("globex")
        stranger = await face.call("POST", "/v1/notifications", ASKED, token=other)
        assert stranger.problem.code == "validation_failed"
        await face.clock.advance(1)
        assert (await face.call("POST", "/v1/notifications", ASKED)).status == 202

    async def test_a_full_backlog_accepts_nothing(self, face: Face) -> None:
        face.strain(100)
        critical = ASKED | {"priority": "critical"}
        for path, body in (("", critical), ("/batch", {"notifications": [critical]})):
            answer = await face.call("POST", f"/v1/notifications{path}", body)
            assert answer.problem.code == "degraded"
            assert int(answer.headers["retry-after"]) > 0
        face.strain(0)
        await face.clock.advance(5)
        face.strain(0)
        assert (await face.call("POST", "/v1/notifications", critical)).status == 202

    async def test_a_step_refuses_by_the_priority_of_the_request_or_of_its_type(self, face: Face) -> None:
        face.strain(75)
        for priority, status in (("critical", 202), ("high", 202), ("normal", 503), ("low", 503)):
            answer = await face.call("POST", "/v1/notifications", ASKED | {"priority": priority})
            assert answer.status == status
        assert (await face.call("POST", "/v1/notifications", ASKED)).status == 202, "its type is high"
        face.strain(90)
        answer = await face.call("POST", "/v1/notifications", ASKED)
        assert (answer.problem.code, answer.headers["retry-after"]) == ("degraded", "5")
        assert "critical_only" in answer.problem.detail
        unknown = await face.call("POST", "/v1/notifications", ASKED | {"type": "nothing"})
        assert unknown.faults == {"type": "unknown_type"}

    async def test_a_step_refuses_the_items_of_a_batch_one_by_one(self, face: Face) -> None:
        face.strain(60)
        items = [ASKED | {"priority": "low"}, ASKED, {}, ASKED | {"priority": "low"}, ASKED | {"priority": "normal"}]
        answer = await face.call("POST", "/v1/notifications/batch", {"notifications": items})
        results = answer.json["results"]
        assert [result.get("error", {}).get("code") for result in results] == [
            "degraded",
            None,
            "validation_failed",
            "degraded",
            None,
        ]
        assert answer.status == 202
        assert face.telemetry.reasons == ["required", "degraded", "degraded"]
        assert face.telemetry.whole == 0

    async def test_a_batch_of_which_nothing_is_taken_is_refused_whole(self, face: Face) -> None:
        face.strain(60)
        batch = {"notifications": [ASKED | {"priority": "low"}] * 3}
        answer = await face.call("POST", "/v1/notifications/batch", batch)
        assert (answer.problem.code, answer.headers["retry-after"]) == ("degraded", "5")
        assert face.telemetry.reasons == ["degraded"] * 3
        assert face.telemetry.whole == 1

    async def test_a_dry_run_is_answered_on_every_step(self, face: Face) -> None:
        face.strain(100)
        assert (await face.call("POST", "/v1/notifications", ASKED | {"dry_run": True})).status == 200

    @pytest.mark.parametrize("declared", [True, False])
    @pytest.mark.parametrize(
        ("path", "size"),
        [("/v1/notifications", 2_001), ("/v1/notifications/batch", 10_001), ("/v1/recipients/batch", 2_001)],
    )
    async def test_a_body_too_large_is_refused_as_soon_as_it_is_known(
        self, face: Face, path: str, size: int, declared: bool
    ) -> None:
        headers = {"authorization": f"Bearer {face.token}", "content-type": "application/json"}
        chunks = [b" " * 1_000] * 100
        if declared:
            headers["content-length"] = str(size)
            chunks = []
        answer = await ask(face.app, "POST", path, headers, chunks)
        assert answer.problem.code == "body_too_large"

    async def test_only_json_is_taken(self, face: Face) -> None:
        for path in ("/v1/notifications", "/v1/notifications/batch", "/v1/recipients/batch"):
            answer = await face.call("POST", path, ASKED, headers={"content-type": "text/plain"})
            assert answer.problem.code == "unsupported_media_type"
        fine = await face.call("POST", "/v1/notifications", ASKED, headers={"content-type": "application/json; a=b"})
        assert fine.status == 202


async def test_what_was_refused_is_counted_with_its_reason(face: Face) -> None:
    await face.call("POST", "/v1/notifications", raw=b"{")
    await face.call("POST", "/v1/notifications", ASKED | {"user_id": "eve"})
    await face.call("POST", "/v1/notifications", ASKED, token="")
    await face.call("POST", "/v1/notifications/batch", {"notifications": [{}, ASKED | {"type": "no"}]})
    expected = ["malformed_json", "unknown_recipient", "unauthorized", "required", "unknown_type"]
    assert sorted(face.telemetry.reasons) == sorted(expected)
    assert ("/v1/notifications", 400) in face.telemetry.answers


async def test_a_header_of_the_trace_travels_with_the_notification(face: Face) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await face.call("POST", "/v1/notifications", ASKED, headers={"traceparent": trace})
    story = (await face.call("GET", f"/v1/notifications/{answer.json['id']}")).json
    assert story["traceparent"] == trace


def test_the_documented_batch_is_the_one_that_is_read() -> None:
    assert BatchRequest.__struct_fields__ == RawBatch.__struct_fields__
    assert msgspec.json.decode(b'{"notifications":[{"user_id":"a","type":"b"}]}', type=BatchRequest).notifications == [
        NotificationRequest("a", "b")
    ]
