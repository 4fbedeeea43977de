"""`POST /callbacks/{provider}`: a raw ASGI callable that verifies, reads and settles a provider's callback."""

from collections.abc import Mapping
from typing import Final

from bellhouse.confirm.settle import NewsBusy, NewsSettler
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import CallbackReader, CallbackRefused, CallbackRequest
from bellhouse.ports.store import StoreUnavailable
from bellhouse.ports.telemetry import Logbook, Telemetry
from bellhouse.web.codes import ProblemCode
from bellhouse.web.problems import Problem, store_problem
from bellhouse.web.reply import Receive, Reply, Scope, Send, problem_reply

PREFIX: Final = "/callbacks/"
_MAX_BODY: Final = 2 * 1024 * 1024
"""SendGrid sends batches of about 768 KB; the rest is far smaller."""
_RETRY_S: Final = 1
_TAKEN: Final = Reply(200, b"", (), (b"content-type", b"text/plain; charset=utf-8"))
_CODES: Final[dict[int, ProblemCode]] = {400: "bad_request", 401: "unauthorized", 413: "body_too_large"}


class CallbackDoor:
    """The one door for all providers. Answers fast: 2xx once the news is durable, 5xx where the provider shall
    repeat it, 4xx for what it need not repeat."""

    def __init__(
        self,
        readers: Mapping[str, CallbackReader],
        settler: NewsSettler,
        public_url: str,
        clock: Clock,
        telemetry: Telemetry,
        logbook: Logbook,
    ) -> None:
        self._readers = readers
        self._settler = settler
        self._public_url = public_url.rstrip("/")
        self._clock = clock
        self._telemetry = telemetry
        self._logbook = logbook

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        provider = scope["path"].removeprefix(PREFIX).strip("/")
        reader = self._readers.get(provider)
        if reader is None:
            await problem_reply(Problem("not_found", "No such provider is configured.")).send(send)
            return
        body = await _body(receive)
        if body is None:
            await problem_reply(Problem("body_too_large", "A callback takes at most 2 MiB.")).send(send)
            return
        try:
            news = reader.read(self._request(scope, body))
            await self._settler.settle(provider, news)
        except CallbackRefused as refused:
            self._telemetry.callbacks(provider, "refused" if refused.status == 401 else "malformed")
            self._logbook.note("warning", "Callback refused", provider=provider, reason=refused.reason)
            await problem_reply(_refusal(refused.status, refused.reason)).send(send)
        except NewsBusy:
            await problem_reply(Problem("busy", "Other callbacks wait.", retry_after_s=_RETRY_S)).send(send)
        except StoreUnavailable as error:
            await problem_reply(store_problem(error)).send(send)
        else:
            await _TAKEN.send(send)

    def _request(self, scope: Scope, body: bytes) -> CallbackRequest:
        query = scope["query_string"].decode("latin-1")
        url = self._public_url + scope["path"] + (f"?{query}" if query else "")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return CallbackRequest(scope["method"], url, headers, body, self._clock.now())


async def _body(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _MAX_BODY:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _refusal(status: int, reason: str) -> Problem:
    """A callback that need not be repeated, as a problem."""
    return Problem(_CODES.get(status, "bad_request"), f"The callback is refused: {reason}.")
