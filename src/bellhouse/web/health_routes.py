"""The routes of health and metrics, for the process that has the API."""

from collections.abc import Awaitable, Callable

from litestar import Controller, Response, get
from litestar.openapi.datastructures import ResponseSpec

from bellhouse.web.health import METRICS_TYPE, Alive, Readiness, Ready, ready
from bellhouse.web.rest import Given, problems

MetricsText = Callable[[], Awaitable[bytes]]


class HealthController(Controller):
    """For load balancers, orchestrators and Prometheus."""

    path = "/"
    tags = ("Health",)

    @get("/healthz", summary="Is it alive?", operation_id="healthz", responses=problems(always=("internal_error",)))
    async def alive(self) -> Alive:
        """Answers as long as the process serves requests, whatever else is broken."""
        return Alive("alive")

    @get(
        "/readyz",
        summary="Is it ready?",
        operation_id="readyz",
        responses=problems("not_ready", always=("internal_error",)),
    )
    async def ready(self, readiness: Given[Readiness]) -> Ready:
        """Every check with its result; 503 where one fails."""
        return await ready(readiness)

    @get(
        "/metrics",
        summary="Metrics",
        operation_id="metrics",
        media_type="text/plain",
        responses={
            200: ResponseSpec(str, generate_examples=False, media_type="text/plain", description="Prometheus text"),
            **problems(always=("internal_error",)),
        },
    )
    async def metrics(self, metrics_text: Given[MetricsText]) -> Response[bytes]:
        """All processes' metrics in the Prometheus text format."""
        return Response(await metrics_text(), headers={"content-type": METRICS_TYPE})
