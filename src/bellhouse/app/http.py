"""The HTTP face as one ASGI application: the hot requests in front, everything else behind them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, cast

import msgspec
from litestar import Litestar, post
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.params import PathParameter

from bellhouse import __version__
from bellhouse.catalogue.api import TemplatesController, TypesController
from bellhouse.domain.words import Channel
from bellhouse.ingest.accept import Acceptor
from bellhouse.ingest.api import BATCH_ROUTE, SINGLE_ROUTE, IngestApi
from bellhouse.ingest.documented import IngestController
from bellhouse.ingest.door import Door
from bellhouse.ingest.dryrun import Rehearsal
from bellhouse.ingest.groupcommit import GroupCommit
from bellhouse.ingest.limits import Gate
from bellhouse.ingest.steps import Steps
from bellhouse.ops.audit import AuditController
from bellhouse.ops.backlog import QueueController, TokensController
from bellhouse.ops.deadletters import DeadLettersController
from bellhouse.ops.diagnosis import DiagnosisController
from bellhouse.ops.levers import BreakersController, LedgerController
from bellhouse.ops.notifications import NotificationsController
from bellhouse.ops.probe_routes import ProbesController
from bellhouse.ops.probes import Prober
from bellhouse.ops.providers import Desk, ProvidersController
from bellhouse.ops.pulling import LeversController
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import AuditStore, ExpiryStore, LeverStore
from bellhouse.ports.log import Log
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.dead_letters import DeadLetterStore
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.ingest import IngestStore
from bellhouse.ports.store.insights import Insights
from bellhouse.ports.store.providers import BreakerStore
from bellhouse.ports.store.recipients import RecipientStore
from bellhouse.ports.store.route import RouteStore
from bellhouse.ports.telemetry import Logbook, Telemetry
from bellhouse.ports.tracing import NO_TRACING, Tracing
from bellhouse.recipients.api import RecipientsController, SuppressionsController
from bellhouse.templates.render import Renderer
from bellhouse.web.auth import CALLER, Keyring
from bellhouse.web.body import Disconnected, buffered
from bellhouse.web.codes import ProblemCode
from bellhouse.web.health import Readiness
from bellhouse.web.health_routes import HealthController, MetricsText
from bellhouse.web.limits import Limits
from bellhouse.web.pages import DOCUMENT, ROOT, Document, ReferencePage, asset
from bellhouse.web.problems import Problem, store_problem
from bellhouse.web.reply import ASGIApp, Message, Receive, Reply, Scope, Send, problem_reply
from bellhouse.web.rest import StrictRequest, exception_handlers, problems

DESCRIPTION: Final = (
    "Say who should hear what and how urgent it is; Bellhouse decides the channels, the moment, the wording and the "
    "provider, delivers, and proves what happened. Errors are problem details (RFC 9457) with a `code` and every "
    "faulty field in `errors`. Times are RFC 3339 with a zone, ids are UUIDs."
)
_UNMATCHED: Final = "other"
_CALLBACKS: Final = "/callbacks/"
_OPENAPI: Final = "/openapi.json"
_REFUSALS: Final[dict[int, ProblemCode]] = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    413: "body_too_large",
    503: "busy",
}
"""What the statuses of refused callbacks are called."""
_TO_REFERENCE: Final = Reply(307, b"", ((b"location", ROOT.encode()),))
"""Whoever opens the API in a browser wants the reference."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What the HTTP face needs; made by the composition root."""

    ingest: IngestStore
    route: RouteStore
    """Gives a dry run the router's own facts."""
    recipients: RecipientStore
    catalogue: CatalogueStore
    breakers: BreakerStore
    dead_letters: DeadLetterStore
    levers: LeverStore
    audit: AuditStore
    expiry: ExpiryStore
    log: Log
    insights: Insights
    clock: Clock
    telemetry: Telemetry
    logbook: Logbook
    renderer: Renderer
    pepper: bytes
    """Keys the digests of API keys (`security.keys.new_pepper`)."""
    callbacks: ASGIApp
    """Answers `POST /callbacks/{provider}`, body and signature included."""
    readiness: Readiness
    """Every check of `/readyz`."""
    metrics: MetricsText
    """The Prometheus text of all processes."""
    steps: Steps
    """How much is taken; somebody must let it look (`ingest.steps.Lookout`)."""
    provider_channels: Mapping[str, tuple[Channel, ...]]
    """The configured providers and the channels that each serves."""
    providers: Desk = Desk()
    """What is known of providers, and how they are tried."""
    limits: Limits = Limits()
    tracing: Tracing = NO_TRACING
    prober: Prober | None = None
    """Probes channels when asked to; None where nobody can."""


def build_asgi(services: Services) -> ASGIApp:
    """The whole HTTP face. It starts no task and holds nothing open: no lifespan is needed."""
    keyring = Keyring(services.catalogue, services.pepper, services.clock)
    api = _ingest(services, keyring)
    litestar = _litestar(services, api)
    limits = services.limits
    cold = buffered(cast(ASGIApp, litestar), {BATCH_ROUTE: limits.batch_body_bytes}, limits.body_bytes)
    return _Front(services, keyring, api, cold)


def _ingest(services: Services, keyring: Keyring) -> IngestApi:
    clock, telemetry, limits = services.clock, services.telemetry, services.limits
    acceptor = Acceptor(services.ingest, services.catalogue, clock, telemetry, services.logbook, services.tracing)
    commit = GroupCommit(acceptor.accept, clock, telemetry, limits.queue, services.steps.waits)
    return IngestApi(
        keyring,
        commit,
        Gate(limits, services.steps, clock),
        Door(services.steps, commit, acceptor),
        Rehearsal(acceptor, services.route, services.catalogue, services.renderer, clock),
        clock,
        telemetry,
        limits,
        services.tracing,
    )


class _Notifications(IngestController, NotificationsController):
    """Both rooms' routes under one path: Litestar takes a path from one controller only."""

    path = NotificationsController.path
    tags = NotificationsController.tags


def _given(value: Any) -> Provide:
    return Provide(lambda: value, use_cache=True, sync_to_thread=False)


def _dependencies(services: Services, api: IngestApi) -> dict[str, Provide]:
    """What routes ask for by the names of their parameters."""

    async def metrics() -> bytes:
        api.flush()
        return await services.metrics()

    return {
        "ingest_api": _given(api),
        "ingest_store": _given(services.ingest),
        "route_store": _given(services.route),
        "recipient_store": _given(services.recipients),
        "catalogue": _given(services.catalogue),
        "breaker_store": _given(services.breakers),
        "dead_letter_store": _given(services.dead_letters),
        "lever_store": _given(services.levers),
        "audit_store": _given(services.audit),
        "expiry_store": _given(services.expiry),
        "the_log": _given(services.log),
        "insights": _given(services.insights),
        "prober": _given(services.prober),
        "clock": _given(services.clock),
        "telemetry": _given(services.telemetry),
        "provider_desk": _given(services.providers),
        "provider_channels": _given(services.provider_channels),
        "readiness": _given(services.readiness),
        "metrics_text": _given(metrics),
    }


def _litestar(services: Services, api: IngestApi) -> Litestar:
    def unexpected(error: Exception) -> None:
        services.logbook.note("error", "Request failed", error=f"{type(error).__name__}: {error}")

    app = Litestar(
        route_handlers=[
            _Notifications,
            RecipientsController,
            SuppressionsController,
            TypesController,
            TemplatesController,
            DeadLettersController,
            BreakersController,
            LeversController,
            AuditController,
            ProvidersController,
            QueueController,
            TokensController,
            LedgerController,
            DiagnosisController,
            ProbesController,
            HealthController,
            callback,
            asset,
        ],
        dependencies=_dependencies(services, api),
        exception_handlers=exception_handlers(unexpected),
        request_class=StrictRequest,
        openapi_config=_openapi(),
        logging_config=None,
        debug=False,
    )
    routes = sorted({route.path_format for route in app.routes} | {SINGLE_ROUTE, BATCH_ROUTE})
    services.telemetry.register("route", routes)
    return app


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Bellhouse",
        version=__version__,
        description=DESCRIPTION,
        use_handler_docstrings=True,
        path=ROOT,
        render_plugins=[ReferencePage(), Document()],
        components=Components(
            security_schemes={
                "key": SecurityScheme(
                    type="http", scheme="bearer", description="An API key: `bh_<environment>_<key id>_<secret>`."
                )
            }
        ),
        security=[{"key": []}],
        tags=[
            Tag("Notifications", "Send, follow, cancel."),
            Tag("Recipients", "Who they are, how they are reached, what they chose."),
            Tag("Types and templates", "What is sent, and in which words."),
            Tag("Operations", "For whoever is on call."),
            Tag("Callbacks", "What providers tell us."),
            Tag("Health", "For machines."),
        ],
    )


@post(
    "/callbacks/{provider:str}",
    status_code=200,
    summary="A provider's callback",
    operation_id="callback",
    tags=["Callbacks"],
    response_description="Taken; nothing is said",
    responses=problems(
        "bad_request",
        "unauthorized",
        "not_found",
        "body_too_large",
        "busy",
        always=("store_unavailable", "outcome_unknown", "internal_error"),
    ),
)
async def callback(provider: Annotated[str, PathParameter(description="The provider, such as `twilio`.")]) -> None:
    """Takes delivery receipts in the provider's own form, verified by its signature. The front answers it."""
    raise Problem("not_found", f"There is no provider {provider[:64]!r}.")


class _Front:
    """Sends each request to whom it belongs, and answers for what nobody caught."""

    def __init__(self, services: Services, keyring: Keyring, api: IngestApi, cold: ASGIApp) -> None:
        self._clock = services.clock
        self._telemetry = services.telemetry
        self._logbook = services.logbook
        self._keyring = keyring
        self._callbacks = services.callbacks
        self._cold_app = cold
        self._hot: dict[str, Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            SINGLE_ROUTE: api.single,
            BATCH_ROUTE: api.batch,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        hot = self._hot.get(scope["path"]) if scope["method"] == "POST" else None
        if hot is None:
            await self._cold(scope, receive, send)
            return
        try:
            await hot(scope, receive, send)
        except Disconnected:
            return
        except Exception as error:
            self._mistake(error)
            await problem_reply(Problem("internal_error")).send(send)

    async def _cold(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = self._clock.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, watched)
        except Disconnected:
            return
        except (Problem, StoreUnavailable) as error:
            problem = error if isinstance(error, Problem) else store_problem(error)
            await problem_reply(problem).send(watched)
        except Exception as error:
            self._mistake(error)
            if status:
                raise
            await problem_reply(Problem("internal_error")).send(watched)
        route = "/callbacks/{provider}" if scope["path"].startswith(_CALLBACKS) else scope.get("path_template")
        self._telemetry.http_requests(route or _UNMATCHED, status, (self._clock.monotonic() - started,))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/":
            await _TO_REFERENCE.send(send)
            return
        if scope["method"] == "OPTIONS":
            # The framework would answer for one handler of the path alone; as a stranger's method it names them all.
            scope["method"] = "TRACE"
        if path == _OPENAPI:
            scope["path"], scope["raw_path"] = DOCUMENT, DOCUMENT.encode()
        if path.startswith(_CALLBACKS) and scope["method"] == "POST":
            await self._callbacks(scope, receive, _in_problems(send))
            return
        if path.startswith("/v1/"):
            authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
            scope[CALLER] = await self._keyring.caller(authorization)
        await self._cold_app(scope, receive, send)

    def _mistake(self, error: Exception) -> None:
        self._logbook.note("error", "Request failed", error=f"{type(error).__name__}: {error}")


def _in_problems(send: Send) -> Send:
    """A `send` that turns the refusals of the callbacks, which know no HTTP face, into problem details."""
    refused: Message | None = None
    reason = b""

    async def translated(message: Message) -> None:
        nonlocal refused, reason
        if message["type"] == "http.response.start" and message["status"] >= 400:
            refused = message
            return
        if refused is None:
            await send(message)
            return
        reason += message.get("body", b"")
        if not message.get("more_body", False):
            kept = tuple(header for header in refused["headers"] if header[0] == b"retry-after")
            code = _REFUSALS.get(refused["status"], "bad_request")
            await problem_reply(Problem(code, f"{reason.decode().capitalize()}.", headers=kept)).send(send)

    return translated


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """Lifespan is acknowledged, since nothing is held open here; anything else (a websocket) is refused."""
    if scope["type"] != "lifespan":
        await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
