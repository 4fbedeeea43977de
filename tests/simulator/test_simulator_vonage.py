"""Vonage over the wire: 200 with the outcome inside, signatures, delivery receipts."""

import pytest

from bellhouse.simulator.vonage import ERRORS, FAILURES, signature

from .outside import DELIVERY, Outside, Receiver, call, eventually

KNOWN = {"api_key": "abcd1234", "text": "a&b=c", "timestamp": "1700000000", "to": "447700900000"}


def statuses(receiver: Receiver, count: int) -> list[str]:
    return [each.json()["status"] for each in receiver.wait_for(count)]


@pytest.mark.parametrize(
    ("digest", "expected"),
    [
        ("md5hash", "65cc923733d4bdd9623313ecdca9454b"),
        ("sha256", "28abf5e159ec196c0ddab203e89633444e6639f7ba926cdd37434d5794acb0ec"),
    ],
)
def test_the_signature_is_vonages(digest, expected):
    assert signature("sec", KNOWN, digest) == expected


def test_an_accepted_message_has_an_entry_per_part(outside: Outside):
    answer = outside.vonage(text="x" * 161)
    body = answer.json()
    assert (answer.status, body["message-count"]) == (200, "2")
    assert [each["status"] for each in body["messages"]] == ["0", "0"]
    assert len({each["message-id"] for each in body["messages"]}) == 2
    (row,) = outside.client.receipts()
    assert (row["verdict"], row["delivery_id"], row["attempt"]) == ("accepted", DELIVERY, 1)


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_each_error_of_the_dial_has_its_body_and_its_verdict(outside: Outside, name):
    expected, verdict = ERRORS[name]
    outside.client.put_dials("vonage", errors={name: 1})
    answer = outside.vonage()
    assert (answer.status, answer.body) == (expected.head.status, expected.body)
    assert outside.verdicts() == [verdict]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"api_secret": "wrong"}, "4"),
        ({"api_key": "wrong"}, "4"),
        ({"to": ""}, "2"),
        ({"text": ""}, "2"),
        ({"to": "+447700900123"}, "3"),
        ({"client-ref": "x" * 101}, "3"),
        ({"callback": "http://x.example/" + "y" * 100}, "23"),
        ({"sig": "00", "timestamp": "1"}, "32"),
        ({"sig": "00", "timestamp": "1", "api_secret": ""}, "14"),
    ],
)
def test_a_refusal_is_inside_a_200(outside: Outside, form, status):
    answer = outside.vonage(**form)
    (entry,) = answer.json()["messages"]
    assert (answer.status, entry["status"]) == (200, status)
    assert entry["error-text"]


@pytest.mark.parametrize("digest", ["md5hash", "md5", "sha1", "sha256", "sha512"])
def test_a_signed_call_needs_no_secret(outside: Outside, digest):
    known = outside.known["vonage"]
    form = {
        "api_key": known["api_key"],
        "from": known["from"],
        "to": "447700900123",
        "text": "a&b=c",
        "timestamp": "1700000000",
        "client-ref": "r",
    }
    sig = signature(known["signature_secret"], form, digest)
    answer = outside.vonage(**form, sig=sig.upper(), api_secret="")
    assert answer.json()["messages"][0]["status"] == "0"


def test_a_dead_number_is_deactivated(outside: Outside):
    outside.client.put_dials("vonage", dead_tokens=["447700900123"])
    assert outside.vonage().json()["messages"][0]["status"] == "33"


def test_the_throttle_is_status_1(outside: Outside):
    outside.client.put_dials("vonage", throttle={"rate_per_second": 0.001})
    assert [outside.vonage().json()["messages"][0]["status"] for _ in range(2)] == ["0", "1"]
    assert outside.verdicts() == ["accepted", "throttled"]


def test_delivery_receipts_are_signed(outside: Outside, account: Receiver):
    message_id = outside.vonage().json()["messages"][0]["message-id"]
    assert statuses(account, 2) == ["accepted", "delivered"]
    receipt = account.received[1].json()
    sig = receipt.pop("sig")
    assert sig == signature(outside.known["vonage"]["signature_secret"], receipt, "sha256")
    assert receipt["client-ref"] == f"{DELIVERY.replace('-', '')}-1"
    assert (receipt["messageId"], receipt["err-code"], receipt["msisdn"]) == (message_id, "0", "447700900123")
    assert account.received[1].path == "/callbacks/vonage"


def test_the_calls_own_callback_wins(outside: Outside, account: Receiver):
    outside.vonage(callback=f"{account.url}/mine")
    assert account.wait_for(1)[0].path == "/mine"


@pytest.mark.parametrize("fate", sorted(set(FAILURES) - {"silent"}))
def test_each_fate_is_told_by_the_last_receipt(outside: Outside, account: Receiver, fate):
    outside.client.put_dials("vonage", callback_failures={fate: 1})
    outside.vonage()
    last = eventually(lambda: next((r.json() for r in account.received if r.json()["err-code"] != "0"), None))
    assert last["status"] in ("expired", "failed", "rejected", "unknown")


def test_receipts_wait_for_a_receiver_that_is_ill(outside: Outside, account: Receiver):
    outside.client.put_dials("vonage", callback_retry_ms=2)
    account.statuses = [500, 503, 500, 503]
    outside.vonage()
    eventually(lambda: outside.client.pending_callbacks()["sent"] == 2)
    assert len(account.received) == 6


def test_the_balance_can_be_asked(outside: Outside):
    known = outside.known["vonage"]
    query = f"api_key={known['api_key']}&api_secret={known['api_secret']}"
    answer = call(known["base_url"], "GET", f"/account/get-balance?{query}")
    assert answer.json() == {"value": 1_000_000.0, "autoReload": False}
    assert call(known["base_url"], "GET", "/account/get-balance").status == 401
