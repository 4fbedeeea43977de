"""The dials: what they take, what they refuse, and what they do to calls while the simulator runs."""

import contextlib
import http.client
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.simulator.client import SimulatorError
from bellhouse.simulator.dials import Mix

from .outside import DEADLINE_S, Outside, call, eventually, fcm_message

PROVIDERS = ["fcm", "sendgrid", "twilio", "vonage", "smtp"]


@pytest.mark.parametrize(
    ("dials", "field"),
    [
        ({"latencee": 1}, "latencee"),
        ({"latency": {"min": 1}}, "latency.min"),
        ({"latency": {"min_ms": "fast"}}, "latency.min_ms"),
        ({"latency": {"min_ms": -1}}, "latency.min_ms"),
        ({"latency": {"kind": "uniform", "min_ms": 5, "max_ms": 1}}, "latency"),
        ({"latency": 50}, "latency"),
        ({"errors": {"nonsense": 0.1}}, "errors.nonsense"),
        ({"errors": {"unavailable": 1.5}}, "errors[...]"),
        ({"errors": {"unavailable": 0.6, "internal": 0.6}}, "errors"),
        ({"callback_failures": {"nonsense": 0.1}}, "callback_failures.nonsense"),
        ({"outage": "yes"}, "outage"),
        ({"lost_answers": True}, "lost_answers"),
        ({"lost_answers": 2}, "lost_answers"),
        ({"dead_tokens": "x"}, "dead_tokens"),
        ({"callback_delay_ms": {"min": 2, "max": 1}}, "callback_delay_ms"),
        ({"greylist_ms": 1}, "greylist_ms"),
    ],
)
def test_a_dial_that_does_not_exist_or_fit_is_named_and_nothing_changes(outside: Outside, dials, field):
    before = outside.client.dials()
    with pytest.raises(SimulatorError) as caught:
        outside.client.put_dials("fcm", lost_answer_mode="hang", **dials)
    assert (caught.value.status, caught.value.field) == (400, field)
    assert outside.client.dials() == before


@pytest.mark.parametrize("body", ["", "{", "[]", "1", "null"])
def test_dials_must_be_an_object(outside: Outside, body):
    assert call(outside.ready["url"], "PUT", "/dials/fcm", body).status == 400


def test_an_unknown_provider_is_not_found(outside: Outside):
    with pytest.raises(SimulatorError) as caught:
        outside.client.put_dials("pigeon", outage="none")
    assert caught.value.status == 404
    assert "fcm" in str(caught.value)


def test_a_change_is_merged_and_null_goes_back_to_the_default(outside: Outside):
    outside.client.put_dials("fcm", latency={"kind": "uniform", "max_ms": 9}, errors={"internal": 0.1})
    dials = outside.client.put_dials("fcm", latency={"min_ms": 3}, errors={"unavailable": 0.2})
    assert (dials["latency"]["min_ms"], dials["latency"]["max_ms"]) == (3, 9)
    assert dials["errors"] == {"internal": 0.1, "unavailable": 0.2}
    dials = outside.client.put_dials("fcm", errors=None, latency={"kind": None})
    assert (dials["errors"], dials["latency"]["kind"]) == ({}, "fixed")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reset_brings_every_default_back(outside: Outside, provider):
    before = outside.client.dials()
    outside.client.put_dials(provider, outage="503", dead_tokens=["a"], callback_loss=0.5)
    outside.client.reset()
    assert outside.client.dials() == before


def test_a_reset_forgets_receipts_tokens_and_callbacks(outside: Outside):
    outside.client.set_account("http://127.0.0.1:9")
    bearer = outside.bearer()
    outside.push(bearer=bearer)
    eventually(lambda: outside.client.pending_callbacks()["repeating"] == 1)
    outside.client.reset()
    assert outside.client.summary()["total"] == 0
    assert list(outside.client.receipts()) == []
    assert set(outside.client.pending_callbacks().values()) == {0}
    assert outside.push(bearer=bearer).status == 401


def timed(action) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def test_latency_delays_the_answer(outside: Outside):
    outside.bearer()
    outside.client.put_dials("fcm", latency={"kind": "uniform", "min_ms": 80, "max_ms": 120})
    assert 0.08 <= timed(outside.push) < DEADLINE_S
    outside.client.put_dials("fcm", latency={"kind": "fixed", "min_ms": 50})
    assert timed(outside.push) >= 0.05
    outside.client.put_dials("fcm", latency={"kind": "lognormal", "min_ms": 40, "max_ms": 60, "median_ms": 1000})
    assert 0.04 <= timed(outside.push) < DEADLINE_S


def test_a_call_under_way_does_not_hold_up_the_others(outside: Outside):
    outside.bearer()
    outside.client.put_dials("fcm", latency={"min_ms": 3_600_000})
    known = outside.known["fcm"]["plain_base_url"].rsplit(":", 1)[1]
    with socket.create_connection(("127.0.0.1", int(known))) as slow:
        slow.sendall(f"POST {outside.fcm_path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        assert outside.twilio().status == 201
        outside.client.put_dials("fcm", latency=None)
        assert outside.push().status == 200


CALLS = {
    "fcm": lambda outside: outside.push(fcm_message()),
    "sendgrid": lambda outside: outside.sendgrid(),
    "twilio": lambda outside: outside.twilio(),
    "vonage": lambda outside: outside.vonage(),
}


@pytest.mark.parametrize("provider", CALLS)
def test_an_outage_of_503_is_the_providers_own(outside: Outside, provider):
    outside.bearer()
    outside.client.put_dials(provider, outage="503")
    answer = CALLS[provider](outside)
    assert answer.status == 503
    assert answer.headers["content-type"].startswith("application/json")
    assert outside.verdicts() == ["retry"]
    outside.client.put_dials(provider, outage="none")
    assert CALLS[provider](outside).status in (200, 201, 202)


@pytest.mark.parametrize("provider", [*CALLS, "smtp"])
def test_a_refusing_provider_cannot_be_reached_and_comes_back_on_its_port(outside: Outside, provider):
    port = outside.known["smtp"]["port"] if provider == "smtp" else outside.ready["provider_ports"][provider]

    def reachable() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S).close()
        except ConnectionRefusedError:
            return False
        return True

    for _ in range(3):
        outside.client.put_dials(provider, outage="refuse")
        eventually(lambda: not reachable())
        outside.client.put_dials(provider, outage="none")
        eventually(reachable)
    assert outside.client.summary()["total"] == 0


def test_a_refusing_fcm_refuses_tls_too_and_the_others_stay(outside: Outside):
    outside.client.put_dials("fcm", outage="refuse")

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", outside.ready["tls_port"])).close()
        except ConnectionRefusedError:
            return True
        return False

    eventually(refused)
    assert outside.twilio().status == 201
    assert outside.client.dials()["fcm"]["outage"] == "refuse"


def test_an_open_connection_is_cut_when_the_provider_refuses(outside: Outside):
    port = outside.ready["provider_ports"]["twilio"]
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(100)
        outside.client.put_dials("twilio", outage="refuse")
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass


@pytest.mark.parametrize("provider", CALLS)
def test_a_hanging_provider_says_nothing_and_keeps_no_receipt(outside: Outside, provider):
    outside.client.put_dials(provider, outage="hang")
    port = outside.ready["provider_ports"][provider]
    path = {
        "fcm": outside.fcm_path,
        "sendgrid": "/v3/mail/send",
        "twilio": f"/2010-04-01/Accounts/{outside.known['twilio']['account_sid']}/Messages.json",
        "vonage": "/sms/json",
    }[provider]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.2)
    with contextlib.closing(connection):
        connection.request("POST", path, "{}")
        with pytest.raises(TimeoutError):
            connection.getresponse()
    assert outside.client.summary()["total"] == 0


@pytest.mark.parametrize("provider", CALLS)
def test_a_lost_answer_was_processed_all_the_same(outside: Outside, provider):
    outside.bearer()
    outside.client.put_dials(provider, lost_answers=1)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        CALLS[provider](outside)
    assert outside.verdicts() == ["accepted_answer_lost"]


def test_a_lost_answer_may_leave_the_caller_hanging(outside: Outside):
    known = outside.known["vonage"]
    outside.client.put_dials("vonage", lost_answers=1, lost_answer_mode="hang")
    form = f"api_key={known['api_key']}&api_secret={known['api_secret']}&from=a&to=447700900123&text=x"
    connection = http.client.HTTPConnection("127.0.0.1", outside.ready["provider_ports"]["vonage"], timeout=0.2)
    with contextlib.closing(connection):
        connection.request("POST", "/sms/json", form)
        with pytest.raises(TimeoutError):
            connection.getresponse()
    assert outside.verdicts() == ["accepted_answer_lost"]


def test_a_caller_that_hangs_up_before_the_answer_lost_it(outside: Outside):
    outside.bearer()
    outside.client.put_dials("vonage", latency={"min_ms": 150})
    known = outside.known["vonage"]
    form = f"api_key={known['api_key']}&api_secret={known['api_secret']}&from=a&to=447700900123&text=x"
    with socket.create_connection(("127.0.0.1", outside.ready["provider_ports"]["vonage"])) as connection:
        head = f"POST /sms/json HTTP/1.1\r\nhost: x\r\ncontent-length: {len(form)}\r\n\r\n{form}"
        connection.sendall(head.encode())
    assert eventually(outside.verdicts) == ["accepted_answer_lost"]


def test_shares_are_shares(outside: Outside):
    outside.client.put_dials("vonage", errors={"5": 0.5})
    threads = [threading.Thread(target=outside.vonage) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = outside.client.summary()["providers"]["vonage"]
    assert counts["accepted"] + counts["retry"] == 60
    assert min(counts.values()) > 5


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0, 0.25), max_size=4), st.floats(0, 1, exclude_max=True))
def test_a_mix_picks_by_cumulated_share(shares, point):
    picked = Mix(shares).pick(point)
    passed = 0.0
    expected = None
    for name, share in shares.items():
        if share > 0 and expected is None and point < passed + share:
            expected = name
        passed += share
    assert picked == expected


def test_an_account_url_must_be_http(outside: Outside):
    for url in ("https://x.example", "nonsense", "http://"):
        with pytest.raises(SimulatorError) as caught:
            outside.client.set_account(url)
        assert caught.value.field == "callback_base_url"
