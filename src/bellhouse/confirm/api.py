"""`POST /callbacks/{provider}`: a raw ASGI callable that verifies, reads and settles a provider's callback."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from bellhouse.confirm.settle import NewsBusy, NewsSettler
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import CallbackReader, CallbackRefused, CallbackRequest
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Logbook, Telemetry

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX: Final = "/callbacks/"
_MAX_BODY: Final = 2 * 1024 * 1024
"""SendGrid sends batches of about 768 KB; the rest is far smaller."""
_RETRY_AFTER: Final = (b"retry-after", b"1")


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
            await _answer(send, 404, "no such provider is configured")
            return
        body = await _body(receive)
        if body is None:
            await _answer(send, 413, "a callback takes at most 2 MiB")
            return
        try:
            news = reader.read(self._request(scope, body))
            await self._settler.settle(provider, news)
        except CallbackRefused as refused:
            self._telemetry.callbacks(provider, "refused" if refused.status == 401 else "malformed")
            self._logbook.note("warning", "Callback refused", provider=provider, reason=refused.reason)
            await _answer(send, refused.status, refused.reason)
        except (NewsBusy, StoreUnavailable):
            await _answer(send, 503, "try again", _RETRY_AFTER)
        else:
            await _answer(send, 200, "")

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


async def _answer(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    body = text.encode()
    start = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
