"""Bad input on the wire: each is told what is wrong in words, nothing of it is kept, and memory stays bounded."""

import http.client
import json
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.acceptance.cluster import ClusterHouse, cluster_engines
from tests.acceptance.house import House
from tests.acceptance.people import DATA, Person, define, person
from tests.acceptance.waiting import wait_until

MB = 1024 * 1024
SETTINGS = """
[limits]
request_timeout_s = 6
[logs]
level = "error"
sampling = "off"
"""


@pytest.fixture(scope="module", params=["two-processes", "cluster"])
def open_house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose providers send nothing."""
    folder = tmp_path_factory.mktemp("bad") / "data"
    with ExitStack() as ended:
        if request.param == "cluster":
            engines, prefix = ended.enter_context(cluster_engines(request))
            house = ended.enter_context(ClusterHouse(folder, None, engines, prefix, SETTINGS))
        else:
            house = ended.enter_context(House(folder, None, 2, SETTINGS))
        define(house.client())
        yield house


@pytest.fixture
def client(open_house: House) -> Client:
    """A caller."""
    return open_house.client()


@pytest.fixture(scope="module")
def ada(open_house: House) -> Person:
    """A recipient."""
    return person(open_house.client())


def nested(depth: int) -> Any:
    """So many objects in one another."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown field": ({"colour": "red"}, "colour", "unknown_field"),
    "wrong type": ({"data": [1]}, "data", "wrong_type"),
    "wrong type of a list": ({"channels": "push"}, "channels", "wrong_type"),
    "unknown priority": ({"priority": "urgent"}, "priority", "not_allowed"),
    "unknown channel": ({"channels": ["pigeon"]}, "channels[0]", "not_allowed"),
    "a channel twice": ({"channels": ["push", "push"]}, "channels", "duplicate"),
    "too many channels": ({"channels": ["push"] * 6}, "channels", "too_many"),
    "unknown recipient": ({"user_id": "nobody"}, "user_id", "unknown_recipient"),
    "unknown type": ({"type": "nothing"}, "type", "unknown_type"),
    "user_id too long": ({"user_id": "u" * 257}, "user_id", "too_long"),
    "user_id empty": ({"user_id": ""}, "user_id", "too_short"),
    "a key of 300 characters": ({"idempotency_key": "k" * 300}, "idempotency_key", "too_long"),
    "a collapse key of 300 characters": ({"collapse_key": "k" * 300}, "collapse_key", "too_long"),
    "a campaign with a space": ({"campaign": "spring sale"}, "campaign", "invalid_format"),
    "data too deep": ({"data": nested(9)}, "data", "too_deep"),
    "data too large": ({"data": {"text": "x" * 20_000}}, "data", "too_large"),
    "a moment without zone": ({"send_at": "2026-11-23T05:00:00"}, "send_at", "invalid_format"),
    "no moment": ({"send_at": "tomorrow"}, "send_at", "invalid_format"),
    "a moment long past": ({"send_at": "2001-01-01T00:00:00Z"}, "send_at", "in_the_past"),
    "a moment too far": ({"send_at": "2126-01-01T00:00:00Z"}, "send_at", "too_far_ahead"),
    "already expired": ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at", "in_the_past"),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_faulty_field_is_named_with_its_fault(client: Client, ada: Person, fault: str) -> None:
    extra, field, code = FAULTS[fault]
    accepted = client.ledger(recount=False)["accepted"]
    answer = client.ask("POST", "/v1/notifications", {"user_id": ada.id, "type": "order", "data": DATA, **extra})
    assert answer.status == 422, answer
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.codes == {field: code}, answer
    assert answer.json["code"] == "validation_failed"
    assert all(error["message"] for error in answer.json["errors"])
    assert client.ledger(recount=False)["accepted"] == accepted


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "malformed_json"),
        (b'{"user_id": "a", "type": "order",}', "malformed_json"),
        (b'{"user_id": NaN}', "malformed_json"),
        (b'{"user_id": "\xff\xfe", "type": "order"}', "not_utf8"),
        (b"[]", "validation_failed"),
        (b"null", "validation_failed"),
        (b'"text"', "validation_failed"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/notifications", "/v1/notifications/batch", "/v1/dead-letters/replay"])
def test_a_body_that_is_no_object_is_told_so(client: Client, path: str, body: bytes, code: str) -> None:
    answer = client.ask("POST", path, body)
    assert answer.status == (422 if code == "validation_failed" else 400), answer
    assert answer.json["code"] == code
    assert answer.json["remedy"]


@pytest.mark.parametrize("body", [b"", b"[" * 100_000])
@pytest.mark.parametrize("path", ["/v1/notifications", "/v1/notifications/batch", "/v1/dead-letters/replay"])
def test_a_body_that_is_nothing_or_endless_is_refused(client: Client, path: str, body: bytes) -> None:
    answer = client.ask("POST", path, body)
    assert answer.status in (400, 422), answer
    assert answer.json["code"] in ("malformed_json", "validation_failed")


def test_deeply_nested_data_is_refused_and_harms_nothing(client: Client, ada: Person) -> None:
    deep = b'{"user_id": "%b", "type": "order", "data": %b1%b}' % (
        ada.id.encode(),
        b'{"a":' * 50_000,
        b"}" * 50_000,
    )
    answer = client.ask("POST", "/v1/notifications", deep)
    assert answer.status in (400, 422), answer
    assert client.ask("GET", "/readyz").status == 200


def test_too_many_items_are_refused_as_a_whole(client: Client, ada: Person) -> None:
    item = {"user_id": ada.id, "type": "order", "data": DATA}
    accepted = client.ledger(recount=False)["accepted"]
    answer = client.ask("POST", "/v1/notifications/batch", {"notifications": [item] * 1001})
    assert (answer.status, answer.codes) == (422, {"notifications": "too_many"})
    assert client.ask("POST", "/v1/notifications/batch", {"notifications": []}).codes == {"notifications": "too_few"}
    assert client.ledger(recount=False)["accepted"] == accepted


def test_a_key_in_the_header_is_judged_like_one_in_the_body(client: Client, ada: Person) -> None:
    body = {"user_id": ada.id, "type": "order", "data": DATA}
    answer = client.ask("POST", "/v1/notifications", body, {"idempotency-key": "k" * 300})
    assert (answer.status, answer.codes) == (422, {"Idempotency-Key": "invalid_format"})
    answer = client.ask("POST", "/v1/notifications", {**body, "idempotency_key": "b"}, {"idempotency-key": "a"})
    assert (answer.status, answer.codes) == (422, {"idempotency_key": "mismatch"})


@pytest.mark.parametrize(
    ("recipient", "field", "code"),
    [
        ({"zone": "Mars/Olympus"}, "zone", "unknown_zone"),
        ({"locale": "no locale!"}, "locale", "invalid_format"),
        ({"contacts": [{"channel": "sms", "address": "0612345678"}]}, "contacts[0].address", "invalid_contact"),
        ({"contacts": [{"channel": "sms", "address": "+33 12"}]}, "contacts[0].address", "invalid_contact"),
        ({"contacts": [{"channel": "email", "address": "no at sign"}]}, "contacts[0].address", "invalid_contact"),
        ({"contacts": [{"channel": "push", "address": "x" * 5_000}]}, "contacts[0].address", "too_long"),
        ({"contacts": [{"channel": "push", "address": "x"}] * 101}, "contacts", "too_many"),
        ({"preferences": {"quiet_hours": {"start": "25:00", "end": "07:00"}}}, "preferences.quiet_hours.start",
         "invalid_format"),
        ({"nickname": "A"}, "nickname", "unknown_field"),
    ],
)  # fmt: skip
def test_a_faulty_recipient_is_refused_whole(client: Client, recipient: object, field: str, code: str) -> None:
    answer = client.ask("PUT", "/v1/recipients/faulty", recipient)
    assert (answer.status, answer.codes) == (422, {field: code}), answer
    assert client.ask("GET", "/v1/recipients/faulty").status == 404


def test_all_faulty_fields_are_named_at_once(client: Client) -> None:
    recipient = {"zone": "Nowhere", "contacts": [{"channel": "sms", "address": "12"}], "locale": "??"}
    answer = client.ask("PUT", "/v1/recipients/faulty", recipient)
    assert set(answer.codes) == {"zone", "locale", "contacts[0].address"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("POST", "/v1/notifications", {"authorization": "Bearer bh_wrong"}, 401, "unauthorized"),
        ("POST", "/v1/notifications", {"authorization": "Basic abc"}, 401, "unauthorized"),
        ("POST", "/v1/notifications", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ("GET", "/v1/nothing", {}, 404, "not_found"),
        ("DELETE", "/v1/notifications", {}, 405, "method_not_allowed"),
        ("GET", "/v1/notifications/not-an-id", {}, 404, "notification_not_found"),
        ("GET", "/v1/notifications?cursor=nonsense", {}, 400, "invalid_cursor"),
        ("GET", "/v1/notifications?limit=100000", {}, 422, "validation_failed"),
        ("GET", "/v1/notifications?state=asleep", {}, 422, "validation_failed"),
        ("POST", "/v1/breakers/nobody/open", {}, 404, "breaker_not_found"),
    ],
)
def test_a_request_that_cannot_be_served_is_told_why(
    client: Client, method: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.ask(method, path, {"user_id": "a", "type": "b"} if method == "POST" else None, headers)
    assert (answer.status, answer.json["code"]) == (status, code), answer


# --- what is too much ---


def rss(pid: int) -> int:
    """A process's memory in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("path", ["/v1/notifications", "/v1/notifications/batch", "/v1/recipients/batch"])
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_of_100_megabytes_is_refused_and_never_held(
    open_house: House, client: Client, path: str, chunked: bool
) -> None:
    api = open_house.pid_of("api")
    client.ask("GET", "/readyz")
    before = rss(api)
    most = before
    connection = http.client.HTTPConnection(client.host, client.port, timeout=20)
    try:
        connection.putrequest("POST", path)
        connection.putheader("authorization", f"Bearer {client.key}")
        connection.putheader("content-type", "application/json")
        if chunked:
            connection.putheader("transfer-encoding", "chunked")
        else:
            connection.putheader("content-length", str(100 * MB))
        connection.endheaders()
        piece = b"%x\r\n%b\r\n" % (MB, b" " * MB) if chunked else b" " * MB
        try:
            for _ in range(100):
                connection.send(piece)
                most = max(most, rss(api))
        except OSError:
            pass  # the server has closed: it need not read what it has refused
        try:
            response = connection.getresponse()
            assert response.status == 413
            assert json.loads(response.read())["code"] == "body_too_large"
        except OSError:
            assert not chunked or most < before + 80 * MB
    finally:
        connection.close()
    assert most < before + 80 * MB, "at most the limit is held"
    assert client.ask("GET", "/readyz").status == 200


def test_ten_thousand_slow_connections_leave_memory_bounded_and_others_served(
    open_house: House, client: Client
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = min(10_000, hard - 500)
    assert wanted >= 3_000, f"this machine allows {hard} files"
    api = open_house.pid_of("api")
    held: list[socket.socket] = []
    try:
        before = rss(api)
        for number in range(wanted):
            slow = socket.create_connection((client.host, client.port), timeout=10)
            slow.sendall(b"POST /v1/notifications HTTP/1.1\r\nhost: slow\r\n")
            held.append(slow)
            if number == 3_000:
                assert _answers(open_house), "others are served beside thousands of slow ones"
        assert rss(api) < before + 120 * MB
        wait_until(lambda: _answers(open_house), 20, "the slow ones are ended")
        said = _said(held)
        assert said, "whoever is refused or ended is told"
        assert said <= {"request_timeout", "too_many_connections"}
        assert rss(api) < before + 120 * MB
    finally:
        for slow in held:
            slow.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: _answers(open_house), 20)
    open_house.balances()


@pytest.mark.parametrize("hard", [4_096, 700])
def test_a_low_limit_of_files_is_raised_and_what_does_not_fit_is_refused_in_words(tmp_path: Path, hard: int) -> None:
    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    house = House(tmp_path / "data", None, 1, SETTINGS)
    try:
        house.start(preexec_fn=few_files)
        held = [socket.create_connection(("127.0.0.1", house.client().port), timeout=10) for _ in range(400)]
        try:
            if hard == 4_096:
                assert _answers(house)
            else:
                assert wait_until(lambda: _said(held), 10) == {"too_many_connections"}
        finally:
            for one in held:
                one.close()
        wait_until(lambda: _answers(house), 20, house.said)
        assert "Traceback" not in house.said()
    finally:
        house.end()


def _answers(house: House) -> bool:
    """Whether a new caller is served within two seconds."""
    try:
        return Client(house.url, house.key, 2.0).ask("GET", "/v1/types").status == 200
    except OSError:
        return False


def _said(held: list[socket.socket]) -> set[str]:
    """The codes of the answers that have come on these connections."""
    poll = select.poll()
    numbers = {slow.fileno(): slow for slow in held}
    for number in numbers:
        poll.register(number, select.POLLIN)
    codes = set()
    for number, _ in poll.poll(1_000):
        numbers[number].settimeout(1)
        try:
            answer = numbers[number].recv(65_536)
        except OSError:
            continue
        if b"\r\n\r\n" in answer:
            codes.add(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])
    return codes
