"""Reading a request's body up to a limit, without keeping more than the limit."""

from collections.abc import Mapping
from typing import Final

from bellhouse.web.problems import Problem
from bellhouse.web.reply import ASGIApp, Message, Receive, Scope, Send

BODY: Final = "bellhouse.body"
"""Where the scope keeps the body that was read."""


class Disconnected(Exception):
    """The caller went away before the request was complete: nobody waits for an answer."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The whole body. Raises Problem `body_too_large` as soon as it is known to be, having kept at most `limit`."""
    if int(headers.get(b"content-length", b"0")) > limit:
        raise too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        if len(body) > limit:
            raise too_large(limit)
        return body
    return await _read_on(message, receive, limit)


async def _read_on(message: Message, receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] != "http.request":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


def too_large(limit: int) -> Problem:
    """The answer to a body beyond `limit` bytes."""
    return Problem("body_too_large", f"This path takes at most {limit:,} bytes.")


def require_json(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that is declared as something else than JSON; a missing declaration is taken for JSON."""
    declared = headers.get(b"content-type")
    if declared is None or declared == b"application/json":
        return
    if declared.partition(b";")[0].strip().lower() != b"application/json":
        raise Problem("unsupported_media_type", f"This path does not take {declared.decode('latin-1')!r}.")


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body already read, and then what the server has to say."""
    pending = True

    async def again() -> Message:
        nonlocal pending
        if pending:
            pending = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


def buffered(app: ASGIApp, limit_of: Mapping[str, int], default: int) -> ASGIApp:
    """The app behind a reader that takes at most `limit_of[path]`, else `default`, bytes of a body."""

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        body = await read_body(headers, receive, limit_of.get(scope["path"], default))
        if body:
            require_json(headers)
        scope[BODY] = body
        await app(scope, replay(body, receive), send)

    return front
