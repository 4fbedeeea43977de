"""FCM over the wire: tokens, messages, Google's errors, device receipts."""

import contextlib
import http.client
import json
import ssl

import pytest
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from bellhouse.simulator.fcm import ERRORS

from .outside import DELIVERY, NOTIFICATION, Outside, Receiver, call, eventually, fcm_message


def error_code(answer) -> str | None:
    details = answer.json()["error"]["details"]
    return next((each["errorCode"] for each in details if each["@type"].endswith("FcmError")), None)


def test_an_accepted_message_is_named_and_leaves_a_receipt(outside: Outside):
    answer = outside.push()
    assert answer.status == 200
    assert answer.json()["name"].startswith("projects/bellhouse-simulated/messages/0:")
    (row,) = outside.client.receipts()
    assert row.pop("at").endswith("Z")
    assert row == {
        "seq": 1,
        "provider": "fcm",
        "verdict": "accepted",
        "notification_id": NOTIFICATION,
        "delivery_id": DELIVERY,
        "attempt": 2,
        "to": "token-1",
    }


def test_fcm_answers_over_tls_with_the_published_ca(outside: Outside):
    context = ssl.create_default_context(cadata=outside.known["ca_pem"])
    connection = http.client.HTTPSConnection("127.0.0.1", outside.ready["tls_port"], context=context, timeout=10)
    with contextlib.closing(connection):
        body = json.dumps({"message": fcm_message()})
        connection.request("POST", outside.fcm_path, body, {"Authorization": outside.bearer()})
        assert connection.getresponse().status == 200


def test_googles_own_library_gets_a_token(outside: Outside):
    account = outside.known["fcm"]["service_account"] | {"token_uri": outside.known["fcm"]["plain_base_url"] + "/token"}
    scopes = ["https://www.googleapis.com/auth/firebase.messaging"]
    credentials = service_account.Credentials.from_service_account_info(account, scopes=scopes)
    credentials.refresh(Request())
    assert outside.push(bearer=f"Bearer {credentials.token}").status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"aud": "https://elsewhere.example/token"}, "invalid_grant"),
        ({"iss": "nobody@example.com"}, "invalid_grant"),
        ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"exp": 1}, "invalid_grant"),
        ({"iat": 4_000_000_000, "exp": 4_000_003_600}, "invalid_grant"),
        ({"exp": "soon"}, "invalid_grant"),
    ],
)
def test_an_assertion_google_would_refuse_gets_no_token(outside: Outside, changes, error):
    answer = outside.grant(outside.assertion(**changes))
    assert (answer.status, answer.json()["error"]) == (400, error)


def test_an_assertion_with_a_broken_signature_gets_no_token(outside: Outside):
    head, claims, signature = outside.assertion().split(".")
    answer = outside.grant(f"{head}.{claims}.{signature[:-8]}AAAAAAAA")
    assert answer.json() == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


def test_a_wrong_bearer_is_unauthenticated(outside: Outside):
    answer = outside.push(bearer="Bearer ya29.stolen")
    assert answer.status == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    assert outside.verdicts() == ["permanent"]


def test_an_access_token_expires(outside: Outside):
    outside.client.put_dials("fcm", token_lifetime_s=0.3)
    bearer = outside.bearer()
    assert outside.push(bearer=bearer).status == 200
    eventually(lambda: outside.push(bearer=bearer).status == 401)


def test_a_dead_token_is_reported_as_unregistered(outside: Outside):
    outside.client.put_dials("fcm", dead_tokens=["token-1"])
    answer = outside.push()
    assert (answer.status, error_code(answer)) == (404, "UNREGISTERED")
    assert outside.verdicts() == ["token_invalid"]
    assert outside.push(fcm_message(token="token-2")).status == 200


def test_the_same_tokens_are_dead_every_time(outside: Outside):
    outside.client.put_dials("fcm", dead_token_share=0.5)
    tokens = [f"token-{n}" for n in range(40)]
    once, again = ([outside.push(fcm_message(token=t)).status for t in tokens] for _ in range(2))
    assert once == again
    assert set(once) == {200, 404}


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_each_error_of_the_dial_has_its_body_and_its_verdict(outside: Outside, name):
    expected, verdict = ERRORS[name]
    outside.client.put_dials("fcm", errors={name: 1})
    answer = outside.push()
    assert (answer.status, answer.body) == (expected.head.status, expected.body)
    assert outside.verdicts() == [verdict]


def test_a_gateway_speaks_html(outside: Outside):
    outside.client.put_dials("fcm", errors={"html_502": 1})
    answer = outside.push()
    assert answer.status == 502
    assert answer.headers["content-type"].startswith("text/html")


def test_lower_camel_case_names_are_as_good_as_snake_case(outside: Outside):
    message = {
        "token": "t",
        "android": {"collapseKey": "c", "ttl": "60s", "notification": {"clickAction": "x"}},
        "apns": {"payload": {"aps": {"contentAvailable": 1}}},
        "fcmOptions": {"analyticsLabel": "l"},
        "data": {"camelKey": "v"},
    }
    answer = outside.push(message, validateOnly=True)
    assert answer.json()["name"].endswith("/fake_message_id")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"token": "t", "colour": "red"}, "message"),
        ({"token": "t", "data": {"n": 1}}, "message.data[...]"),
        ({"token": "t", "data": {"google.x": "1"}}, "message.data"),
        ({"token": "t", "data": {"from": "1"}}, "message.data"),
        ({"token": "t", "android": {"ttl": "1h"}}, "message.android.ttl"),
        ({"token": "t", "android": {"ttl": "2419201s"}}, "message.android.ttl"),
        ({"token": "t", "topic": "news"}, "message"),
        ({"data": {"k": "v"}}, "message"),
        ({"topic": "/topics/x"}, "message.topic"),
        ({"token": "t", "data": {"k": "v" * 4096}}, ""),
        ({"topic": "t", "data": {"k": "v" * 2048}}, ""),
    ],
)
def test_a_message_google_would_refuse_is_an_invalid_argument(outside: Outside, message, field):
    answer = outside.push(message)
    error = answer.json()["error"]
    assert (answer.status, error["status"]) == (400, "INVALID_ARGUMENT")
    violations = next(each["fieldViolations"] for each in error["details"] if "fieldViolations" in each)
    assert violations[0]["field"] == field
    assert outside.verdicts() == ["permanent"]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "\x00", '{"message": 1}'])
def test_a_body_that_is_no_request_is_an_invalid_argument(outside: Outside, body):
    assert outside.push_raw(body).status == 400


def test_a_message_of_4096_bytes_passes(outside: Outside):
    assert outside.push({"token": "t", "data": {"k": "v" * 4095}}).status == 200


def test_a_malformed_token_is_told_from_other_bad_arguments(outside: Outside):
    answer = outside.push(fcm_message(token="two words"))
    assert "not a valid FCM registration token" in answer.json()["error"]["message"]
    assert outside.verdicts() == ["token_invalid"]


def test_the_throttle_answers_429_and_says_when_to_come_back(outside: Outside):
    outside.client.put_dials("fcm", throttle={"rate_per_second": 0.001, "retry_after_s": 7})
    assert outside.push().status == 200
    answer = outside.push()
    assert (answer.status, answer.headers["retry-after"], error_code(answer)) == (429, "7", "QUOTA_EXCEEDED")
    assert outside.verdicts() == ["accepted", "throttled"]


def test_the_quota_of_a_minute_is_counted(outside: Outside):
    outside.client.put_dials("fcm", quota_per_minute=2)
    statuses = [outside.push().status for _ in range(6)]
    assert statuses[:2] == [200, 200]
    assert 429 in statuses


def test_another_project_is_not_found(outside: Outside):
    answer = call(
        outside.known["fcm"]["plain_base_url"],
        "POST",
        "/v1/projects/other/messages:send",
        "{}",
        Authorization=outside.bearer(),
    )
    assert (answer.status, error_code(answer)) == (404, None)


def test_the_device_reports_what_it_showed(outside: Outside, account: Receiver):
    outside.push()
    (received,) = account.wait_for(1)
    report = received.json()
    assert received.path == "/callbacks/fcm"
    assert report.pop("at") > 1_700_000_000_000
    assert report == {"delivery_id": DELIVERY, "receipt": "opaque", "event": "delivered"}


def test_a_person_may_open_the_message(outside: Outside, account: Receiver):
    outside.client.put_dials("fcm", callback_failures={"opened": 1})
    outside.push()
    assert [each.json()["event"] for each in account.wait_for(2)] == ["delivered", "opened"]


def test_a_silent_device_reports_nothing(outside: Outside, account: Receiver):
    outside.client.put_dials("fcm", callback_failures={"silent": 1})
    outside.push()
    outside.client.put_dials("fcm", callback_failures=None)
    outside.push(fcm_message(data={"delivery_id": NOTIFICATION}))
    assert [each.json()["delivery_id"] for each in account.wait_for(1)] == [NOTIFICATION]
