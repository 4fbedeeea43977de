"""Twilio over the wire: messages, error codes, queries, signed status callbacks."""

import base64
import json
import logging
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from bellhouse.simulator.twilio import ERRORS, FAILURES, signature

from .outside import DELIVERY, NOTIFICATION, Outside, Receiver, call, eventually


def callback(receiver: Receiver) -> str:
    return f"{receiver.url}/callbacks/twilio?delivery_id={DELIVERY}&attempt=1"


def statuses(receiver: Receiver, count: int) -> list[str]:
    return [dict(parse_qsl(each.body.decode()))["MessageStatus"] for each in receiver.wait_for(count)]


class LoopbackClient(HttpClient):
    """Twilio's client with its calls sent to the simulator."""

    def __init__(self, base: str) -> None:
        super().__init__(logging.getLogger(__name__), False)
        self._base = base

    def request(self, method, uri, params=None, data=None, headers=None, auth=None, **_):
        parts = urlsplit(uri)
        secret = base64.b64encode(":".join(auth).encode()).decode()
        query = "?" + urlencode(params) if params else ""
        body = None if data is None else urlencode(data)
        answer = call(self._base, method.upper(), parts.path + query, body, Authorization=f"Basic {secret}")
        return Response(answer.status, answer.body.decode())


@pytest.fixture
def library(outside: Outside) -> Client:
    known = outside.known["twilio"]
    return Client(known["account_sid"], known["auth_token"], http_client=LoopbackClient(known["base_url"]))


def test_twilios_own_library_sends_fetches_and_lists(outside: Outside, library: Client):
    sent = library.messages.create(to="+447700900123", from_="+15005550006", body="hello")
    assert (sent.status, sent.num_segments, sent.price) == ("queued", "1", None)
    assert library.messages(sent.sid).fetch().to == "+447700900123"
    assert [each.sid for each in library.messages.list(to="+447700900123")] == [sent.sid]
    assert library.messages.list(to="+447700900999") == []
    assert library.balance.fetch().currency == "USD"


def test_twilios_own_library_understands_an_error(outside: Outside, library: Client):
    with pytest.raises(TwilioRestException) as caught:
        library.messages.create(to="+15005550004", from_="+15005550006", body="hello")
    assert (caught.value.status, caught.value.code) == (400, 21610)


def test_a_sent_message_leaves_a_receipt_with_the_ids_of_its_callback_url(outside: Outside):
    answer = outside.twilio(StatusCallback=f"http://127.0.0.1:9/cb?delivery_id={DELIVERY}&attempt=3")
    assert answer.status == 201
    (row,) = outside.client.receipts()
    assert (row["delivery_id"], row["notification_id"], row["attempt"]) == (DELIVERY, NOTIFICATION, 3)


def test_status_callbacks_come_in_order_and_signed(outside: Outside, receiver: Receiver):
    outside.client.put_dials("twilio", callback_delay_ms={"min": 1, "max": 20})
    outside.twilio(StatusCallback=callback(receiver))
    received = receiver.wait_for(3)
    validator = RequestValidator(outside.known["twilio"]["auth_token"])
    for each in received:
        form = dict(parse_qsl(each.body.decode(), keep_blank_values=True))
        assert validator.validate(receiver.url + each.path, form, each.headers["x-twilio-signature"])
        assert not validator.validate(receiver.url + "/other", form, each.headers["x-twilio-signature"])
    assert statuses(receiver, 3) == ["queued", "sent", "delivered"]


def test_the_signature_is_twilios():
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+15005550006"}
    assert signature(b"tok", "https://h.example/cb?d=1", form) == "7elx47uMm0v53+h+ks7et+1LDYM="


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_each_error_of_the_dial_has_its_body_and_its_verdict(outside: Outside, code):
    expected, verdict = ERRORS[code]
    outside.client.put_dials("twilio", errors={code: 1})
    answer = outside.twilio()
    assert (answer.status, answer.body) == (expected.head.status, expected.body)
    assert outside.verdicts() == [verdict]


@pytest.mark.parametrize("fate", sorted(FAILURES))
def test_each_fate_is_told_by_callback(outside: Outside, receiver: Receiver, fate):
    outside.client.put_dials("twilio", callback_failures={fate: 1})
    outside.twilio(StatusCallback=callback(receiver))
    last = {"sent_only": "sent"}.get(fate)
    if last is None:
        eventually(lambda: receiver.received and b"ErrorCode" in receiver.received[-1].body)
        form = dict(parse_qsl(receiver.received[-1].body.decode()))
        assert form["MessageStatus"] in ("undelivered", "failed")
        assert fate in ("undelivered", "failed", form["ErrorCode"])
    else:
        assert statuses(receiver, 2)[-1] == last


def test_a_callbacks_error_code_may_be_dialled_as_an_error(outside: Outside, receiver: Receiver):
    outside.client.put_dials("twilio", errors={"30003": 1})
    assert outside.twilio(StatusCallback=callback(receiver)).status == 201
    assert statuses(receiver, 3)[-1] == "undelivered"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"To": "07700900123"}, 21211),
        ({"To": "+0"}, 21211),
        ({"To": "+15005550009"}, 21614),
        ({"From": "+15005550001"}, 21212),
        ({"StatusCallback": "http://under_score.example/"}, 21609),
    ],
)
def test_a_bad_field_has_its_code(outside: Outside, form, code):
    answer = outside.twilio(**form)
    assert (answer.status, answer.json()["code"], answer.json()["status"]) == (400, code, 400)


def test_a_dead_number_is_invalid(outside: Outside):
    outside.client.put_dials("twilio", dead_tokens=["+447700900123"])
    assert outside.twilio().json()["code"] == 21211
    assert outside.verdicts() == ["token_invalid"]


def test_a_wrong_password_is_refused(outside: Outside):
    answer = outside.twilio(password="wrong")
    assert (answer.status, answer.json()["code"]) == (401, 20003)


def test_a_message_whose_answer_was_lost_can_be_found_by_number(outside: Outside):
    outside.client.put_dials("twilio", lost_answers=1)
    with pytest.raises(OSError, match=r"closed|reset"):
        outside.twilio()
    assert outside.verdicts() == ["accepted_answer_lost"]
    outside.client.put_dials("twilio", lost_answers=0)
    listed = outside.twilio("GET", "Messages.json?To=%2B447700900123&PageSize=20").json()["messages"]
    assert [each["body"] for each in listed] == ["hello"]


def test_a_list_has_pages(outside: Outside):
    for number in range(3):
        outside.twilio(Body=str(number))
    first = outside.twilio("GET", "Messages.json?PageSize=2").json()
    assert [each["body"] for each in first["messages"]] == ["2", "1"]
    second = outside.twilio("GET", first["next_page_uri"].rsplit("/", 1)[1]).json()
    assert [each["body"] for each in second["messages"]] == ["0"]
    assert second["next_page_uri"] is None


def test_twilio_repeats_once_and_only_when_nobody_answers(outside: Outside, receiver: Receiver):
    outside.client.put_dials("twilio", callback_retry_ms=5)
    receiver.statuses = [500, 500, 500]
    outside.twilio(StatusCallback=callback(receiver))
    outside.twilio(StatusCallback="http://127.0.0.1:9/nobody")
    eventually(lambda: outside.client.pending_callbacks()["pending"] == 0)
    assert outside.client.pending_callbacks()["given_up"] == 6
    assert len(receiver.received) == 3


def test_the_fragment_of_the_callback_url_asks_for_more_repeats(outside: Outside, receiver: Receiver):
    outside.client.put_dials("twilio", callback_retry_ms=1)
    receiver.statuses = [500, 503]
    outside.twilio(StatusCallback=callback(receiver) + "#rc=3&rp=all")
    eventually(lambda: outside.client.pending_callbacks()["sent"] == 3)
    assert len(receiver.received) == 5


def test_disorder_shuffles_and_duplicates_double(outside: Outside, receiver: Receiver):
    outside.client.put_dials(
        "twilio", callback_disorder=1, callback_duplicates=1, callback_delay_ms={"min": 0, "max": 10}
    )
    orders = set()
    for round_ in range(1, 9):
        outside.twilio(StatusCallback=callback(receiver))
        orders.add(tuple(statuses(receiver, 6 * round_)[6 * (round_ - 1) :]))
    assert all(sorted(order) == sorted(["queued", "sent", "delivered"] * 2) for order in orders)
    assert len(orders) > 1


def test_lost_callbacks_never_come(outside: Outside, receiver: Receiver):
    outside.client.put_dials("twilio", callback_loss=1)
    outside.twilio(StatusCallback=callback(receiver))
    eventually(lambda: outside.client.pending_callbacks()["lost"] == 3)
    assert receiver.received == []


def test_without_callbacks_the_query_still_tells_the_outcome(outside: Outside):
    outside.client.put_dials("twilio", callbacks=False, callback_failures={"30005": 1})
    sid = outside.twilio().json()["sid"]
    found = outside.twilio("GET", f"Messages/{sid}.json").json()
    assert (found["status"], found["error_code"]) == ("undelivered", 30005)


def test_the_error_body_points_to_its_page():
    body = json.loads(ERRORS["20429"][0].body)
    assert body == {
        "code": 20429,
        "message": "Too Many Requests",
        "more_info": "https://www.twilio.com/docs/errors/20429",
        "status": 429,
    }
