"""Log lines: one JSON object a line, the fields of an allow-list only, never content and never an address."""

import logging
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, Final, assert_never

import msgspec
import structlog

from bellhouse.domain.ids import notification_of, to_text
from bellhouse.domain.notification import Notification
from bellhouse.domain.trace import API_SERVICE, id_of, worker_service
from bellhouse.domain.words import Channel
from bellhouse.observability.masking import mask, mask_id, mask_user
from bellhouse.observability.sampling import SampleMode, Sampler
from bellhouse.ports.clock import Clock
from bellhouse.ports.telemetry import BreakerState, LogField, LogLevel

IDS: Final = frozenset({"notification_id", "delivery_id", "trace_id", "span_id"})
FIELDS: Final = IDS | {
    "user_id", "channel", "provider", "tenant", "notification_type", "priority", "success", "duration_ms", "error",
    "old_state", "new_state", "failure_count", "error_type", "stack", "logger", "sampled", "attempt", "reason", "code",
    "status", "route", "stage", "role", "topic", "consumer_group", "partition", "count", "step", "state", "port",
    "version", "pid", "seconds", "setting", "by", "gauge", "check", "verdict",
}  # fmt: skip
"""Everything that a line may carry beside `timestamp`, `level`, `service` and `message`."""

_LEVELS: Final[Mapping[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_QUIET: Final[Mapping[str, int]] = {"uvicorn.access": logging.WARNING, "asyncio": logging.WARNING}
_OWN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")
_FRAMES: Final = 12

Event = MutableMapping[str, Any]


class Shape:
    """The last processor: it stamps the line, lets pass what may be said, and makes it bytes."""

    def __init__(self, service: str, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    def __call__(self, _logger: object, method: str, event: Event) -> bytes:
        line: dict[str, LogField | list[str]] = {
            "timestamp": rfc3339(self._clock.now()),
            "level": _level(method),
            "service": str(event.pop("service", self._service)),
            "message": mask(str(event.pop("event", ""))),
        }
        _describe_exception(event)
        refused = []
        for name, value in event.items():
            if value is None:
                continue
            if name in FIELDS and isinstance(value, str | int | float):
                line[name] = _clean(name, value)
            else:
                refused.append(mask(name))
        if refused:
            line["refused_fields"] = refused
        return msgspec.json.encode(line)


class LineWriter:
    """Writes lines to a stream, one whole line at a time.

    A stream that cannot be written (a full disk, a closed pipe) loses lines and never stops the work.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = Lock()

    def msg(self, line: bytes) -> None:
        with self._lock:
            try:
                self._stream.write(line + b"\n")
                self._stream.flush()
            except (OSError, ValueError):
                pass

    debug = info = warning = error = critical = exception = msg


class Bridge(logging.Handler):
    """Turns what libraries log through the standard library into our lines."""

    def __init__(self, shape: Shape, writer: LineWriter) -> None:
        super().__init__()
        self._shape = shape
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        event = {"event": message, "logger": record.name, "exc_info": record.exc_info}
        self._writer.msg(self._shape(None, record.levelname, event))


class StructuredLogbook:
    """The catalogue of log lines, on structlog. A line that is sampled out costs a fraction of a microsecond."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger, clock: Clock, sample: SampleMode) -> None:
        self._logger = logger
        self._received = Sampler(sample, clock.monotonic)
        self._attempted = Sampler(sample, clock.monotonic)

    def notifications_received(self, batch: Sequence[Notification]) -> None:
        """**Notification received**, INFO, for a sample of the batch."""
        full, thinned = self._received.take(len(batch))
        for i in full:
            self._notification_received(batch[i], None)
        for i in thinned:
            self._notification_received(batch[i], thinned.step)

    def delivery_attempted(
        self,
        delivery_id: bytes,
        channel: Channel,
        provider: str,
        success: bool,
        duration_ms: float,
        error: str | None = None,
        *,
        user_id: str | None = None,
        tenant: int | None = None,
        trace_id: str | None = None,
    ) -> None:
        """**Delivery attempted**: INFO and sampled, or WARNING and always when it failed."""
        weight = self._attempted.weight() if success else 1
        if not weight:
            return
        (self._logger.info if success else self._logger.warning)(
            "Delivery attempted",
            service=worker_service(channel),
            notification_id=to_text(notification_of(delivery_id)),
            delivery_id=to_text(delivery_id),
            user_id=user_id,
            channel=channel,
            provider=provider,
            success=success,
            duration_ms=round(duration_ms, 1),
            error=error,
            tenant=tenant,
            trace_id=trace_id,
            sampled=weight if weight > 1 else None,
        )

    def breaker_changed(
        self, provider: str, channel: Channel, old_state: BreakerState, new_state: BreakerState, failure_count: int
    ) -> None:
        """**Circuit breaker state changed**, WARNING."""
        self._logger.warning(
            "Circuit breaker state changed",
            service=worker_service(channel),
            provider=provider,
            channel=channel,
            old_state=old_state,
            new_state=new_state,
            failure_count=failure_count,
        )

    def note(self, level: LogLevel, message: str, **fields: LogField) -> None:
        """Any other line. A field outside the allow-list is left out and named in `refused_fields`."""
        match level:
            case "debug":
                self._logger.debug(message, **fields)
            case "info":
                self._logger.info(message, **fields)
            case "warning":
                self._logger.warning(message, **fields)
            case "error":
                self._logger.error(message, **fields)
            case _:
                assert_never(level)

    def _notification_received(self, notification: Notification, sampled: int | None) -> None:
        self._logger.info(
            "Notification received",
            service=API_SERVICE,
            notification_id=to_text(notification.id),
            user_id=notification.user_id,
            tenant=notification.tenant,
            notification_type=notification.type,
            priority=notification.priority,
            trace_id=id_of(notification.traceparent),
            sampled=sampled,
        )


def configure(
    service: str, clock: Clock, stream: BinaryIO, *, level: LogLevel = "info", sample: SampleMode = "sampled"
) -> StructuredLogbook:
    """Route every line of this process, ours and the libraries', to `stream`, and give the logbook for ours.

    `service` is the name in lines that belong to no particular stage. `sample` concerns **Notification received**
    and **Delivery attempted**: `sampled` writes all below 100 a second and one in 100 of the rest.
    """
    shape, writer = Shape(service, clock), LineWriter(stream)
    structlog.configure(
        processors=[shape],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,
    )
    _route_standard_library(Bridge(shape, writer), _LEVELS[level])
    return StructuredLogbook(structlog.get_logger().bind(), clock, sample)


def rfc3339(at: int) -> str:
    """A moment (ms since the epoch) in RFC 3339, UTC, to the millisecond."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _route_standard_library(bridge: Bridge, level: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [bridge]
    root.setLevel(level)
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name, at_least in _QUIET.items():
        logging.getLogger(name).setLevel(max(at_least, level))
    logging.captureWarnings(True)


def _level(method: str) -> str:
    upper = method.upper()
    return {"WARN": "WARNING", "EXCEPTION": "ERROR", "FATAL": "CRITICAL", "MSG": "INFO"}.get(upper, upper)


def _clean(name: str, value: str | float) -> str | float:
    if not isinstance(value, str):
        return value
    if name in IDS:
        return mask_id(value)
    if name == "user_id":
        return mask_user(value)
    return value if name == "stack" else mask(value)


def _describe_exception(event: Event) -> None:
    """Replace an exception by its masked text, its class, and where it came from: files and functions, no values."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    event.pop("stack", None)
    if isinstance(error, BaseException):
        event.setdefault("error", str(error))
        event["error_type"] = f"{type(error).__module__}.{type(error).__qualname__}"
        event["stack"] = _stack(error.__traceback__)


def _stack(trace: TracebackType | None) -> str:
    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{PurePath(code.co_filename).name}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " > ".join(frames[-_FRAMES:])
