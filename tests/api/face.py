"""The HTTP face on a real store and a clock moved by hand, and a caller of it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite.store import SqliteStore
from bellhouse.app.http import Services, build_asgi
from bellhouse.domain.ids import TenantNo
from bellhouse.ingest.degrade import Volume, Waiting
from bellhouse.ingest.steps import Steps
from bellhouse.ports.store.catalogue import ApiKey
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.security import keys
from bellhouse.security.keys import Scope as KeyScope
from bellhouse.templates.render import Renderer
from bellhouse.testing.clock import ManualClock
from bellhouse.web.codes import PROBLEMS
from bellhouse.web.health import Check
from bellhouse.web.limits import Limits
from bellhouse.web.problems import ProblemDetails
from bellhouse.web.reply import ASGIApp, Message, Receive, Scope, Send

PEPPER = b"p" * 32


class Counted(NullTelemetry):
    """Telemetry that remembers what was rejected and answered."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.answers: list[tuple[str, int]] = []
        self.whole = 0
        """Requests that degraded mode turned away whole."""

    def rejected(self, reason: str, n: int = 1) -> None:
        self.reasons += [reason] * n

    def turned_away(self) -> None:
        self.whole += 1

    def http_requests(self, route: str, code: int, seconds: Iterable[float]) -> None:
        self.answers += [(route, code) for _ in seconds]


class Noted(NullLogbook):
    """A logbook that remembers its errors."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def note(self, level: str, message: str, **fields: object) -> None:
        if level == "error":
            self.errors.append(f"{message} {fields}")


@dataclass(frozen=True)
class Answer:
    """What a caller got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> ProblemDetails:
        """The answer as problem details; fails where it is none, or contradicts its own code."""
        assert self.headers["content-type"] == "application/problem+json", (self.status, self.body)
        problem = msgspec.json.decode(self.body, type=ProblemDetails)
        assert problem.status == self.status == PROBLEMS[problem.code].status
        assert problem.type == f"/problems/{problem.code}"
        return problem

    @property
    def faults(self) -> dict[str, str]:
        """The faulty fields with their codes."""
        assert self.problem.code == "validation_failed", self.problem
        return {fault.field: fault.code for fault in self.problem.errors}


@dataclass
class Face:
    """The application and what stands behind it."""

    app: ASGIApp
    store: SqliteStore
    clock: ManualClock
    telemetry: Counted
    logbook: Noted
    checks: list[Check]
    steps: Steps
    token: str = ""

    def strain(self, backlog: int = 0, volume: Volume | None = None) -> None:
        """So much waits, and so much is free, from now on."""
        self.steps.look(Waiting(backlog), volume)

    async def key(self, tenant: str = "acme", scopes: Iterable[KeyScope] = ("admin",), environment: str = "dev") -> str:
        """A new key's token."""
        number = await self.store.catalogue.tenant(tenant, environment)
        secret = keys.new_secret(environment)
        digest = keys.digest(PEPPER, secret)
        row = ApiKey(secret.key_id, number, tenant, environment, tuple(scopes), digest, "", self.clock.now())
        await self.store.catalogue.put_key(row)
        return secret.token

    async def tenant(self, name: str = "acme") -> TenantNo:
        return await self.store.catalogue.tenant(name, "dev")

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request. `body` is sent as JSON, `raw` as it is; an empty `token` sends no key."""
        content = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)
        sent = {"host": "test", "content-length": str(len(content))}
        if content:
            sent["content-type"] = "application/json"
        key = self.token if token is None else token
        if key:
            sent["authorization"] = f"Bearer {key}"
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        return await ask(self.app, method, path, sent, [content])


async def ask(app: ASGIApp, method: str, path: str, headers: Mapping[str, str], chunks: list[bytes]) -> Answer:
    """Ask an ASGI application; the body comes in these chunks."""
    path, _, query = path.partition("?")
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "state": {},
    }
    waiting = list(chunks)
    sent: list[Message] = []

    async def receive() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    shown = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], shown, b"".join(message.get("body", b"") for message in sent[1:]))


async def callbacks(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the callbacks: says which path it was asked for, or refuses with the status that it is sent."""
    status = int((await receive())["body"] or b"200")
    headers = [(b"x-path", scope["path"].encode()), (b"retry-after", b"1"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"not so", "more_body": True})
    await send({"type": "http.response.body", "body": b" fast"})


def make_face(folder: Path, limits: Limits) -> Face:
    """A face on a fresh file."""
    store = SqliteStore(folder / "bellhouse.db", LocalDoorbell())
    clock, telemetry, logbook, checks = ManualClock(), Counted(), Noted(), [Check("store", True)]
    steps = Steps(limits, clock, telemetry, logbook)

    async def readiness() -> list[Check]:
        return checks

    async def metrics() -> bytes:
        return b"notifications_received_total 1\n"

    app = build_asgi(
        Services(
            ingest=store.ingest,
            route=store.route,
            recipients=store.recipients,
            catalogue=store.catalogue,
            breakers=store.catalogue,
            dead_letters=store.dead_letters,
            levers=store.levers,
            audit=store.levers,
            expiry=store.expiry,
            log=store.log,
            insights=store.insights,
            clock=clock,
            telemetry=telemetry,
            logbook=logbook,
            renderer=Renderer(),
            pepper=PEPPER,
            callbacks=callbacks,
            readiness=readiness,
            metrics=metrics,
            steps=steps,
            provider_channels={"fcm": ("push",), "twilio": ("sms",)},
            limits=limits,
        )
    )
    return Face(app, store, clock, telemetry, logbook, checks, steps)


async def furnish(face: Face) -> None:
    """A type, its template and a recipient with every contact point."""
    for path, body in FURNITURE.items():
        answer = await face.call("PUT", path, body)
        assert answer.status == 200, answer.body


FURNITURE: dict[str, Any] = {
    "/v1/templates/order_shipped": {
        "locales": {
            "en": {
                "push": {"title": "Shipped", "body": "Order {{ order }} is on its way."},
                "email": {"subject": "Order {{ order }}", "text": "It is on its way."},
            }
        },
        "sample": {"order": "A-1"},
    },
    "/v1/types/order_shipped": {"category": "transactional", "priority": "high", "channels": ["push", "email"]},
    "/v1/recipients/ada": {
        "zone": "Europe/Paris",
        "locale": "en",
        "contacts": [
            {"channel": "push", "address": "token-1", "providers": ["fcm"]},
            {"channel": "email", "address": "ada@example.com"},
            {"channel": "sms", "address": "+33612345678"},
        ],
    },
}
ASKED = {"user_id": "ada", "type": "order_shipped", "data": {"order": "A-7"}}
