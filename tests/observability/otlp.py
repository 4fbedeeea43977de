"""A collector that takes OTLP/HTTP, decodes it with OpenTelemetry's own protocol, and keeps every span."""

import gzip
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Recorded(msgspec.Struct, frozen=True):
    """A span as it came over the wire."""

    trace_id: str
    id: str
    parent: str
    name: str
    service: str
    start: int
    end: int
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]
    failed: bool


class Collector:
    """Listens on a port of its own; `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[dict[str, str]] = []
        self._spans: list[Recorded] = []
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                status = collector.status if self.path == "/v1/traces" else 404
                if status == 200:
                    collector.take({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """Keep what came."""
        raw = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        asked = ExportTraceServiceRequest.FromString(raw)
        found = [
            _recorded(str(service), span)
            for resource in asked.resource_spans
            for service in [_attributes(resource.resource.attributes)["service.name"]]
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self.headers.append(headers)
            self._spans += found

    def spans(self, trace_id: str | None = None) -> Sequence[Recorded]:
        """What came so far, of one trace or of all."""
        with self._lock:
            return [span for span in self._spans if trace_id in (None, span.trace_id)]

    def names(self, trace_id: str) -> set[str]:
        """The names of a trace's spans."""
        return {span.name for span in self.spans(trace_id)}

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _recorded(service: str, span: Any) -> Recorded:
    return Recorded(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        service,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _attributes(span.attributes),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        span.status.code == 2,
    )
