"""Health and metrics of a process that has no API: three paths, for orchestrators and Prometheus."""

import socket
from collections.abc import Callable
from typing import Final

import msgspec

from bellhouse.app.server import HttpServer
from bellhouse.ports.clock import Clock
from bellhouse.web.health import METRICS_TYPE, Alive, Readiness, ready
from bellhouse.web.limits import Limits
from bellhouse.web.problems import Problem
from bellhouse.web.reply import ASGIApp, Receive, Reply, Scope, Send, problem_reply

_LIMITS: Final = Limits(connections=256)
_encode: Final = msgspec.json.Encoder().encode


def side_door(
    exposition: Callable[[], bytes], readiness: Readiness, listener: socket.socket, clock: Clock
) -> HttpServer:
    """The service that answers `/metrics`, `/healthz` and `/readyz` on a bound socket."""
    return HttpServer(_app(exposition, readiness), _LIMITS, listener, clock, drain_s=1.0)


def _app(exposition: Callable[[], bytes], readiness: Readiness) -> ASGIApp:
    async def answer(path: str) -> Reply:
        match path:
            case "/healthz":
                return Reply(200, _encode(Alive("alive")))
            case "/readyz":
                try:
                    return Reply(200, _encode(await ready(readiness)))
                except Problem as problem:
                    return problem_reply(problem)
            case "/metrics":
                return Reply(200, exposition(), content_type=(b"content-type", METRICS_TYPE.encode()))
            case _:
                return problem_reply(Problem("not_found", "There are /metrics, /healthz and /readyz."))

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await (await answer(scope["path"])).send(send)

    return app
