"""Traces from the settings: off, or a way to a collector."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

from bellhouse.app.runner import Resource
from bellhouse.app.sections import Traces, headers_in
from bellhouse.domain.trace import Span
from bellhouse.ops.trace_keeper import TraceKeeper
from bellhouse.ports.clock import Clock
from bellhouse.ports.service import Service
from bellhouse.ports.store.insights import Insights
from bellhouse.ports.telemetry import Logbook, Telemetry
from bellhouse.ports.tracing import NO_TRACING, Tracing

MISSING: Final = "traces need OpenTelemetry: pip install 'bellhouse[otel]'"


def make_tracing(
    settings: Traces, instance: str, insights: Insights, clock: Clock, telemetry: Telemetry, logbook: Logbook
) -> tuple[Tracing, list[Service]]:
    """The process's tracing with the services that it needs. Raises ValueError where its library is missing."""
    if settings.otlp_url is None:
        return NO_TRACING, []
    try:
        # A tenth of a second and some 15 MB, which nobody pays whose traces are off.
        from bellhouse.observability.traces import OtlpTracing, Target  # noqa: PLC0415
    except ImportError as error:
        raise ValueError(MISSING) from error
    target = Target(settings.otlp_url, _headers(settings), settings.sample_ratio, settings.slow_ms)
    tracing = OtlpTracing(target, instance, version("bellhouse"), telemetry, logbook)
    return tracing, [Resource("traces", stop=tracing.close), TraceKeeper(tracing, insights, clock)]


def export(spans: Sequence[Span], url: str, settings: Traces) -> bool:
    """Send spans to a collector now; whether it took them. The settings' headers go to the settings' collector alone.

    Raises ValueError where the library is missing.
    """
    try:
        from bellhouse.observability.traces import Target, send  # noqa: PLC0415 - as above
    except ImportError as error:
        raise ValueError(MISSING) from error
    headers = _headers(settings) if url == settings.otlp_url else {}
    return send(spans, Target(url, headers), "command-line", version("bellhouse"))


def _headers(settings: Traces) -> Mapping[str, str]:
    return {} if settings.headers is None else headers_in(settings.headers.get_secret_value())
