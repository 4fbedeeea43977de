"""Log lines are one JSON object each, with the catalogue's fields, sampled at volume, and say nothing private."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.domain.ids import RecipientNo, TenantNo, delivery_id, new_notification_ids, to_text
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import Channel, Priority
from bellhouse.observability.logs import FIELDS, StructuredLogbook, configure
from bellhouse.observability.sampling import ONE_IN, THRESHOLD, SampleMode, Sampler
from bellhouse.ports.telemetry import Logbook, LogLevel, NullLogbook
from bellhouse.testing.clock import START, ManualClock

NOTIFICATION = new_notification_ids(START, 1)[0]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Log:
    """A configured logbook and what it wrote."""

    def __init__(self, level: LogLevel = "info", sample: SampleMode = "sampled") -> None:
        self.clock = ManualClock()
        self.stream = io.BytesIO()
        self.book: StructuredLogbook = configure(
            "notification-router", self.clock, self.stream, level=level, sample=sample
        )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def line(self) -> dict[str, Any]:
        (only,) = self.lines()
        return only

    def attempt(self, *, success: bool = True, channel: Channel = "push", error: str | None = None) -> None:
        self.book.delivery_attempted(delivery_id(NOTIFICATION, 1), channel, "fcm", success, 12.345, error)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Give the standard library's root logger back to pytest."""
    root = logging.getLogger()
    handlers, level, quiet = root.handlers[:], root.level, logging.getLogger("asyncio").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(quiet)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def notification(priority: Priority = "high", user_id: str = "u-1") -> Notification:
    return Notification(
        id=NOTIFICATION,
        tenant=TenantNo(3),
        recipient=RecipientNo(9),
        user_id=user_id,
        type="order_shipped",
        priority=priority,
        data=b'{"text":"private"}',
        received_at=START,
        expires_at=START + 1,
        ready_at=START,
        traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
    )


def test_notification_received_has_its_fields() -> None:
    log = Log()
    log.book.notifications_received([notification()])
    assert log.line() == {
        "timestamp": "2026-11-18T11:06:40.000Z",
        "level": "INFO",
        "service": "notification-api",
        "message": "Notification received",
        "notification_id": to_text(NOTIFICATION),
        "user_id": "u-1",
        "tenant": 3,
        "notification_type": "order_shipped",
        "priority": "high",
        "trace_id": TRACE,
    }


def test_delivery_attempted_has_its_fields() -> None:
    log = Log()
    log.book.delivery_attempted(
        delivery_id(NOTIFICATION, 2), "in_app", "in_app", True, 12.345, user_id="u-1", tenant=3, trace_id=TRACE
    )
    assert log.line() == {
        "timestamp": "2026-11-18T11:06:40.000Z",
        "level": "INFO",
        "service": "in-app-worker",
        "message": "Delivery attempted",
        "notification_id": to_text(NOTIFICATION),
        "delivery_id": to_text(delivery_id(NOTIFICATION, 2)),
        "user_id": "u-1",
        "channel": "in_app",
        "provider": "in_app",
        "success": True,
        "duration_ms": 12.3,
        "tenant": 3,
        "trace_id": TRACE,
    }


def test_a_failed_attempt_is_a_warning_with_its_error() -> None:
    log = Log()
    log.attempt(success=False, error="550 <bob@example.com> unknown")
    line = log.line()
    assert (line["level"], line["success"], line["error"]) == ("WARNING", False, "550 <[masked]> unknown")


def test_a_breakers_change_is_a_warning_with_its_fields() -> None:
    log = Log()
    log.book.breaker_changed("twilio", "sms", "closed", "half_open", 5)
    line = log.line()
    assert line.pop("timestamp")
    assert line == {
        "level": "WARNING",
        "service": "sms-worker",
        "message": "Circuit breaker state changed",
        "channel": "sms",
        "provider": "twilio",
        "old_state": "closed",
        "new_state": "half_open",
        "failure_count": 5,
    }


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_a_note_has_its_level_and_the_process_own_service(level: LogLevel) -> None:
    log = Log(level="debug")
    log.book.note(level, "Listening", port=8080)
    line = log.line()
    assert (line["level"], line["service"], line["port"]) == (level.upper(), "notification-router", 8080)


def test_what_is_below_the_level_is_not_written() -> None:
    log = Log(level="warning")
    log.book.note("info", "Listening")
    log.attempt()
    logging.getLogger("a.library").info("hello")
    assert log.lines() == []


@pytest.mark.parametrize("field", ["title", "body", "data", "address", "token", "email", "phone", "contact", "content"])
def test_content_and_addresses_have_no_field(field: str) -> None:
    assert field not in FIELDS
    log = Log()
    log.book.note("info", "x", **{field: "secret"})
    assert log.line()["refused_fields"] == [field]
    assert b"secret" not in log.stream.getvalue()


def test_a_value_that_is_no_plain_word_or_number_is_refused() -> None:
    log = Log()
    structlog.get_logger().info("x", reason={"body": "secret"}, error=["secret"], code=b"secret")
    assert log.line()["refused_fields"] == ["reason", "error", "code"]
    assert b"secret" not in log.stream.getvalue()


def test_the_data_of_a_notification_never_appears() -> None:
    log = Log()
    log.book.notifications_received([notification(user_id="bob@example.com")])
    assert b"private" not in log.stream.getvalue()
    assert log.line()["user_id"] == "[masked]"


SECRETS = (
    st.emails() | st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True) | st.from_regex(r"[a-f0-9]{64}", fullmatch=True)
)


@given(secret=SECRETS, field=st.sampled_from(sorted(FIELDS - {"stack"})))
def test_no_field_of_any_line_lets_an_address_or_token_through(secret: str, field: str) -> None:
    log = Log(sample="all")
    log.book.note("info", f"wrote to {secret}", **{field: secret if field == "user_id" else f"x {secret}"})
    log.attempt(success=False, error=f"could not reach {secret}")
    logging.getLogger("a.library").warning("cannot reach %s", secret)
    text = "".join(str(value) for line in log.lines() for value in line.values())
    if field == "user_id" and "@" not in secret and "+" not in secret:
        return
    assert secret not in text


def caught(error: Exception) -> Exception:
    try:
        raise error
    except Exception as raised:
        return raised


def test_an_exception_is_written_masked_with_files_and_functions_but_no_values() -> None:
    log = Log()
    structlog.get_logger().error("broke", exc_info=caught(ValueError("bob@example.com is dead")))
    line = log.line()
    assert line["error"] == "[masked] is dead"
    assert line["error_type"] == "builtins.ValueError"
    assert "test_logs.py" in line["stack"]
    assert "caught" in line["stack"]


def test_the_exception_being_handled_is_found() -> None:
    log = Log()
    try:
        raise KeyError("gone")
    except KeyError:
        structlog.get_logger().exception("broke")
        logging.getLogger("a.library").exception("broke too")
    assert [(line["level"], line["error_type"]) for line in log.lines()] == [("ERROR", "builtins.KeyError")] * 2


def test_libraries_lines_come_out_the_same() -> None:
    log = Log()
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.addHandler(logging.StreamHandler())
    log = Log()
    uvicorn.info("Started server process [%d]", 12)
    line = log.line()
    assert line["message"] == "Started server process [12]"
    assert (line["level"], line["logger"], line["service"]) == ("INFO", "uvicorn.error", "notification-router")
    assert uvicorn.handlers == []


def test_the_servers_access_lines_with_their_paths_are_not_written() -> None:
    log = Log()
    logging.getLogger("uvicorn.access").info("PUT /v1/suppressions/x")
    assert log.lines() == []


def test_a_librarys_line_with_a_wrong_format_is_written_as_it_is() -> None:
    log = Log()
    wrong: tuple[object, ...] = ("x",)
    logging.getLogger("a.library").warning("%d of %d", *wrong)
    assert log.line()["message"] == "%d of %d"


def test_a_pythons_warning_is_a_line_too() -> None:
    log = Log()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    assert log.line()["logger"] == "py.warnings"


class Broken(io.BytesIO):
    def write(self, _: Any) -> int:
        raise OSError(28, "No space left on device")


def test_a_stream_that_cannot_be_written_stops_nothing() -> None:
    book = configure("notification-api", ManualClock(), Broken())
    book.note("error", "x")
    closed = io.BytesIO()
    closed.close()
    configure("notification-api", ManualClock(), closed).note("error", "x")


def test_lines_are_separate_even_with_a_newline_in_a_message() -> None:
    log = Log()
    log.book.note("info", "one\ntwo", error="three\nfour")
    assert len(log.lines()) == 1


async def test_attempts_are_all_written_while_they_are_few() -> None:
    log = Log()
    for _ in range(5):
        for _ in range(THRESHOLD):
            log.attempt()
        await log.clock.advance(1)
    lines = log.lines()
    assert len(lines) == 5 * THRESHOLD
    assert not any("sampled" in line for line in lines)


def test_at_volume_one_attempt_in_a_hundred_is_written_and_says_so() -> None:
    log = Log()
    for _ in range(THRESHOLD + 10 * ONE_IN):
        log.attempt()
    lines = log.lines()
    assert len(lines) == THRESHOLD + 10
    assert [line.get("sampled") for line in lines[THRESHOLD:]] == [ONE_IN] * 10


def test_failures_are_always_written() -> None:
    for sample in ("all", "sampled", "off"):
        log = Log(sample=sample)
        for _ in range(5 * THRESHOLD):
            log.attempt(success=False, error="UNAVAILABLE")
        assert len(log.lines()) == 5 * THRESHOLD, sample


@pytest.mark.parametrize(("sample", "written"), [("all", 1000), ("off", 0), ("sampled", THRESHOLD + 9)])
def test_a_batch_of_received_notifications_is_sampled_as_the_setting_says(sample: SampleMode, written: int) -> None:
    log = Log(sample=sample)
    log.book.notifications_received([notification()] * 1000)
    assert len(log.lines()) == written


def by_batches(sampler: Sampler, sizes: list[int]) -> list[tuple[int, int]]:
    chosen, start = [], 0
    for n in sizes:
        full, thinned = sampler.take(n)
        chosen += [(start + i, 1) for i in full] + [(start + i, ONE_IN) for i in thinned]
        start += n
    return chosen


@given(st.lists(st.integers(0, 400), max_size=20))
def test_how_candidates_are_batched_does_not_change_which_are_written(sizes: list[int]) -> None:
    clock: Callable[[], float] = lambda: 1.0  # noqa: E731  # a clock that stands still
    one_by_one = Sampler("sampled", clock)
    weights = [(i, one_by_one.weight()) for i in range(sum(sizes))]
    assert by_batches(Sampler("sampled", clock), sizes) == [(i, weight) for i, weight in weights if weight]


def test_the_null_logbook_takes_every_call() -> None:
    book: Logbook = NullLogbook()
    book.notifications_received([notification()])
    book.delivery_attempted(NOTIFICATION, "push", "fcm", True, 1.0)
    book.breaker_changed("fcm", "push", "closed", "open", 1)
    book.note("info", "x", port=1)
