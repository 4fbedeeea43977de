"""Spans to a collector over OTLP/HTTP, through OpenTelemetry's batch processor; imported only where traces are on.

Work is never slowed: the exporter has a thread of its own and a bounded queue, and what does not fit in, or what the
collector does not take, is dropped and counted. That the collector is away is said once, and once that it is back.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link as OtelLink
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bellhouse.domain import trace
from bellhouse.domain.ids import NotificationId
from bellhouse.domain.trace import Span
from bellhouse.observability.masking import mask_user
from bellhouse.ports.telemetry import Logbook, Telemetry

QUEUE: Final = 4_096
"""Spans that may wait for the collector, for each process; about 1 KiB each."""
KEPT: Final = 200
"""Traces that may wait to be rebuilt."""
_BATCH: Final = 512
_PAUSE_MS: Final = 1_000
_PATIENCE_S: Final = 3.0
"""How long one batch may take until it is given up."""
_LAST_WORDS_S: Final = 3.0
"""How long a process that ends waits for its last spans to leave."""
_PATH: Final = "/v1/traces"
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_KINDS: Final[Mapping[trace.Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
_SCOPE: Final = InstrumentationScope("bellhouse")
_UNSET: Final = Status(StatusCode.UNSET)


class Target(msgspec.Struct, frozen=True):
    """Where spans go, and what of them."""

    url: str
    """The collector's base URL, or that of its traces."""
    headers: Mapping[str, str] = {}
    sample_ratio: float = 0.001
    slow_ms: int = 0
    """Above it a way is slow; 0 calls none so."""


class OtlpTracing:
    """The Tracing port over OTLP/HTTP. Calls may come from any thread."""

    on = True

    def __init__(
        self, target: Target, instance: str, version: str, telemetry: Telemetry, logbook: Logbook, queue: int = QUEUE
    ) -> None:
        """`instance` names this process among those of its service."""
        self._target = target
        self._reader = _Reader(instance, version)
        self._telemetry = telemetry
        self._queue = queue
        self._lock = threading.Lock()
        self._pending = 0
        self._asked: dict[NotificationId, None] = {}
        self._exporter = _Counted(exporter_to(target), self._handed_over, telemetry, logbook)
        self._processor = BatchSpanProcessor(self._exporter, queue, _PAUSE_MS, min(_BATCH, queue))

    def begin(self, notification: NotificationId) -> str | None:
        """The context of a new notification that came without one; None where it is not sampled."""
        if not trace.takes(notification, self._target.sample_ratio):
            return None
        return trace.own_context(notification).text

    def emit(self, spans: Sequence[Span]) -> None:
        """Hand finished spans over; those beyond the queue are dropped."""
        with self._lock:
            room = self._queue - self._pending
            taken = spans[: max(0, room)]
            self._pending += len(taken)
        if len(taken) < len(spans):
            self._telemetry.spans("dropped", len(spans) - len(taken))
        for span in taken:
            self._processor.on_end(self._reader.read(span))

    def is_slow(self, ended_ms: int) -> bool:
        """Whether a way of so many milliseconds, from ready to ended, is too long."""
        return 0 < self._target.slow_ms < ended_ms

    def keep(self, notification: NotificationId) -> None:
        """Ask for the whole trace of a notification."""
        with self._lock:
            if len(self._asked) < KEPT:
                self._asked[notification] = None

    def kept(self, limit: int) -> Sequence[NotificationId]:
        """Take at most `limit` of those that were asked for, the oldest first."""
        with self._lock:
            taken = list(self._asked)[:limit]
            for notification in taken:
                del self._asked[notification]
        return taken

    async def close(self) -> None:
        """Send what waits, as long as that may take, and end."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            self._processor.force_flush()
            with suppress(RuntimeError):  # the loop is closed: it took longer than anybody waits
                loop.call_soon_threadsafe(ended.set)

        # A thread of the loop's own pool would be waited for at the process's end, however long the collector takes.
        threading.Thread(target=end, name="traces-end", daemon=True).start()
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await ended.wait()
        except TimeoutError:
            pass
        self._exporter.shutdown()

    def _handed_over(self, count: int) -> None:
        with self._lock:
            self._pending -= count


class _Counted(SpanExporter):
    """An exporter that counts what became of its spans, and says once that the collector is away."""

    def __init__(
        self, exporter: SpanExporter, handed_over: Callable[[int], None], telemetry: Telemetry, logbook: Logbook
    ) -> None:
        self._exporter = exporter
        self._handed_over = handed_over
        self._telemetry = telemetry
        self._logbook = logbook
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; its spans leave the queue before, so that others find room while it is under way."""
        self._handed_over(len(spans))
        result = self._exporter.export(spans)
        taken = result is SpanExportResult.SUCCESS
        self._telemetry.spans("exported" if taken else "dropped", len(spans))
        if taken is self._away:
            self._away = not taken
            if self._away:
                self._logbook.note("warning", "Traces are dropped: their collector does not take them")
            else:
                self._logbook.note("info", "Traces are taken again")
        return result

    def shutdown(self) -> None:
        """Break off what is under way."""
        self._exporter.shutdown()


class _Service(Resource):
    """A resource that is hashed once: the encoder asks for every span, and the usual answer is a text of it all."""

    def __init__(self, about: Mapping[str, str]) -> None:
        super().__init__(about)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)


class _Reader:
    """Turns our spans into OpenTelemetry's."""

    def __init__(self, instance: str, version: str) -> None:
        self._instance = instance
        self._version = version
        self._resources: dict[str, Resource] = {}

    def read(self, span: Span) -> ReadableSpan:
        """The same span, its user masked where its name is an address."""
        attributes = dict(span.attributes)
        if "user_id" in attributes:
            attributes["user_id"] = mask_user(str(attributes["user_id"]))
        trace_id = int.from_bytes(span.trace_id)
        parent = None
        if span.parent is not None:
            parent = SpanContext(trace_id, int.from_bytes(span.parent), span.remote_parent, _SAMPLED)
        return ReadableSpan(
            name=span.name,
            context=SpanContext(trace_id, int.from_bytes(span.id), False, _SAMPLED),
            parent=parent,
            resource=self._resource(span.service),
            attributes=attributes,
            links=[
                OtelLink(SpanContext(int.from_bytes(link.trace_id), int.from_bytes(link.span_id), True, _SAMPLED))
                for link in span.links
            ],
            kind=_KINDS[span.kind],
            status=_UNSET if span.failure is None else Status(StatusCode.ERROR, span.failure),
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=_SCOPE,
        )

    def _resource(self, service: str) -> Resource:
        resource = self._resources.get(service)
        if resource is None:
            about = {
                "service.name": service,
                "service.namespace": "bellhouse",
                "service.instance.id": self._instance,
                "service.version": self._version,
            }
            resource = self._resources[service] = _Service(about)
        return resource


def exporter_to(target: Target) -> OTLPSpanExporter:
    """OpenTelemetry's exporter, which says nothing itself: it would say it for every batch."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
    return OTLPSpanExporter(traces_url(target.url), headers=dict(target.headers) or None, timeout=_PATIENCE_S)


def traces_url(url: str) -> str:
    """Where a collector takes traces: `/v1/traces` below its base, unless that is in the URL already."""
    return url if url.endswith(_PATH) else url.rstrip("/") + _PATH


def send(spans: Sequence[Span], target: Target, instance: str, version: str) -> bool:
    """Send spans now and wait for the collector's answer; whether it took them."""
    reader, exporter = _Reader(instance, version), exporter_to(target)
    try:
        return exporter.export([reader.read(span) for span in spans]) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry's own
