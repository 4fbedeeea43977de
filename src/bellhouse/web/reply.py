"""An answer of the raw ASGI callables: a status, headers and a body, sent in two messages."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec

from bellhouse.web.problems import MEDIA_TYPE, Headers, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", MEDIA_TYPE.encode())


class Reply(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    headers: Headers = ()
    content_type: tuple[bytes, bytes] = _JSON

    async def send(self, send: Send) -> None:
        """Send it."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [self.content_type, (b"content-length", b"%d" % len(self.body)), *self.headers],
            }
        )
        await send({"type": "http.response.body", "body": self.body})


def problem_reply(problem: Problem) -> Reply:
    """The answer for a problem."""
    return Reply(problem.status, problem.body, problem.headers, _PROBLEM)
