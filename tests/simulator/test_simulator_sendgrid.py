"""SendGrid over the wire: mail/send, its errors, the signed Event Webhook."""

import itertools
import json

import pytest
from sendgrid.helpers.eventwebhook import EventWebhook, EventWebhookHeader

from bellhouse.simulator.sendgrid import ERRORS

from .outside import DELIVERY, NOTIFICATION, Outside, Receiver, eventually, sendgrid_mail


def events(receiver: Receiver, count: int) -> list[dict]:
    def so_far() -> list[dict]:
        return list(itertools.chain.from_iterable(each.json() for each in receiver.received))

    eventually(lambda: len(so_far()) >= count)
    return so_far()


def test_an_accepted_mail_has_a_message_id_and_a_receipt(outside: Outside):
    answer = outside.sendgrid()
    assert (answer.status, answer.body) == (202, b"")
    assert answer.headers["x-message-id"]
    (row,) = outside.client.receipts()
    assert (row["delivery_id"], row["notification_id"], row["attempt"]) == (DELIVERY, NOTIFICATION, 1)
    assert row["to"] == "ann@example.org"


def test_a_call_of_many_personalizations_leaves_a_receipt_for_each(outside: Outside):
    personalizations = [
        {"to": [{"email": f"user{n}@example.org"}], "custom_args": {"delivery_id": f"{n:032x}"}} for n in range(1, 1001)
    ]
    assert outside.sendgrid(personalizations=personalizations).status == 202
    assert outside.client.summary()["distinct_accepted"] == 1000


def test_events_are_signed_and_carry_the_custom_arguments(outside: Outside, account: Receiver):
    message_id = outside.sendgrid().headers["x-message-id"]
    processed, delivered = events(account, 2)
    assert (processed["event"], delivered["event"]) == ("processed", "delivered")
    assert delivered["delivery_id"] == DELIVERY
    assert delivered["sg_message_id"].startswith(message_id)
    assert processed["sg_event_id"] != delivered["sg_event_id"]
    webhook = EventWebhook()
    key = webhook.convert_public_key_to_ecdsa(outside.known["sendgrid"]["webhook_public_key"])
    for each in account.received:
        signature = each.headers[EventWebhookHeader.SIGNATURE.lower()]
        timestamp = each.headers[EventWebhookHeader.TIMESTAMP.lower()]
        assert webhook.verify_signature(each.body.decode(), signature, timestamp, key)
        assert not webhook.verify_signature(each.body.decode() + " ", signature, timestamp, key)


def test_events_of_many_mails_come_in_one_batch(outside: Outside, account: Receiver):
    outside.client.put_dials("sendgrid", event_batch_ms=200)
    for _ in range(5):
        outside.sendgrid()
    assert len(events(account, 10)) == 10
    assert len(account.received) < 5


def test_events_wait_for_a_receiver_that_is_ill(outside: Outside, account: Receiver):
    outside.client.put_dials("sendgrid", callback_retry_ms=2, event_batch_ms=0)
    account.statuses = [503, 500, 404]
    outside.sendgrid()
    eventually(lambda: outside.client.pending_callbacks()["pending"] == 0)
    ids = {each["sg_event_id"] for each in events(account, 2)}
    assert len(ids) == 2
    assert outside.client.pending_callbacks()["given_up"] == 0


def test_events_survive_a_receiver_that_is_away(outside: Outside, receiver: Receiver):
    outside.client.put_dials("sendgrid", callback_retry_ms=20)
    outside.client.set_account("http://127.0.0.1:9")
    outside.sendgrid()
    eventually(lambda: outside.client.pending_callbacks()["repeating"] == 1)


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_each_error_of_the_dial_has_its_body_and_its_verdict(outside: Outside, name):
    expected, verdict = ERRORS[name]
    outside.client.put_dials("sendgrid", errors={name: 1})
    answer = outside.sendgrid()
    assert (answer.status, answer.body) == (expected.head.status, expected.body)
    assert outside.verdicts() == [verdict]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from": {"email": "nobody"}}, "from.email"),
        ({"from": None}, "from"),
        ({"subject": ""}, "subject"),
        ({"content": []}, "content"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
        ({"personalizations": []}, "personalizations"),
        ({"personalizations": [{"to": []}]}, "personalizations.0.to"),
        ({"personalizations": [{"to": [{"email": "x"}]}]}, "personalizations.0.to.0.email"),
        ({"personalizations": [{"to": [{"email": "a@b.c"}, {"email": "A@b.c"}]}]}, "personalizations.0"),
    ],
)
def test_a_bad_field_is_named(outside: Outside, changes, field):
    answer = outside.sendgrid(**changes)
    assert answer.status == 400
    (error,) = answer.json()["errors"]
    assert set(error) == {"message", "field", "help"}
    assert error["field"] == field
    assert outside.verdicts() == ["permanent"]


def test_a_wrong_key_is_refused(outside: Outside):
    assert outside.sendgrid(key="SG.wrong").status == 401


def test_the_throttle_tells_when_the_window_opens(outside: Outside):
    outside.client.put_dials("sendgrid", throttle={"rate_per_second": 0.001, "retry_after_s": 30})
    outside.sendgrid()
    answer = outside.sendgrid()
    assert answer.status == 429
    assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000
    assert answer.headers["x-ratelimit-remaining"] == "0"


def test_a_dead_address_is_accepted_and_bounces(outside: Outside, account: Receiver):
    outside.client.put_dials("sendgrid", dead_tokens=["ann@example.org"])
    assert outside.sendgrid().status == 202
    bounce = events(account, 2)[1]
    assert (bounce["event"], bounce["type"], bounce["status"]) == ("bounce", "bounce", "5.1.1")


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ("blocked", [("processed", None), ("bounce", "blocked")]),
        ("dropped", [("dropped", None)]),
        ("deferred", [("processed", None), ("deferred", None), ("delivered", None)]),
        ("spamreport", [("processed", None), ("delivered", None), ("spamreport", None)]),
        ("late_bounce", [("processed", None), ("delivered", None), ("bounce", "bounce")]),
    ],
)
def test_each_fate_is_told_by_events(outside: Outside, account: Receiver, fate, expected):
    outside.client.put_dials("sendgrid", callback_failures={fate: 1})
    outside.sendgrid()
    told = events(account, len(expected))
    assert [(each["event"], each.get("type")) for each in told] == expected
    assert ("sg_message_id" in told[-1]) == (fate != "late_bounce")


def test_the_sandbox_takes_the_mail_and_sends_nothing(outside: Outside, account: Receiver):
    outside.client.put_dials("sendgrid", event_batch_ms=0)
    assert outside.sendgrid(mail_settings={"sandbox_mode": {"enable": True}}).status == 200
    assert outside.client.pending_callbacks()["pending"] == 0


def test_a_mail_of_three_megabytes_passes(outside: Outside):
    large = sendgrid_mail()["content"][0] | {"value": "x" * 3_000_000}
    assert outside.sendgrid(content=[large]).status == 202


def test_the_error_body_has_sendgrids_shape():
    assert json.loads(ERRORS["429"][0].body) == {
        "errors": [{"message": "too many requests", "field": None, "help": None}]
    }
