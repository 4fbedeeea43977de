"""Requests in their wire form: lawful paths and lower-case fields, prepared once per distinct set of headers."""

import re
from collections.abc import Mapping
from typing import Final

from bellhouse.adapters.transport.h2.encoder import Field, Form
from bellhouse.ports.provider import Request

NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
PATH: Final = re.compile(r"/[!-~]*")
METHOD: Final = re.compile(r"[A-Z]+")
FORBIDDEN: Final = re.compile(rb"[\x00\r\n]")
NOT_WRITTEN: Final = frozenset(
    ("connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade")
)
"""Fields that HTTP/2 has no place for (RFC 9113, section 8.2.2), or says by other means: `content-length` by
END_STREAM, `host` by `:authority`."""
REMEMBERED: Final = 256


class Forms:
    """The forms of one authority, remembered by their headers."""

    def __init__(self, authority: str, prefix: str, user_agent: str) -> None:
        self._authority = authority.encode("idna" if not authority.isascii() else "ascii")
        self._prefix = prefix
        self._user_agent = user_agent
        self._known: dict[tuple[str, tuple[tuple[str, str], ...]], Form] = {}

    def prepare(self, request: Request) -> tuple[bytes, Form]:
        """The path and the form of a request; a form that is refused says why."""
        key = (request.method, tuple(request.headers.items()))
        form = self._known.get(key)
        if form is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            form = self._known[key] = self._form(request.method, request.headers)
        path = self._prefix + request.path
        if PATH.fullmatch(path) is None:
            return b"", Form((), refused="a path that may not be written")
        return path.encode(), form

    def _form(self, method: str, headers: Mapping[str, str]) -> Form:
        if METHOD.fullmatch(method) is None:
            return Form((), refused="a method that may not be written")
        fields: list[Field] = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", self._authority),
        ]
        if not any(name.lower() == "user-agent" for name in headers):
            fields.append((b"user-agent", self._user_agent.encode()))
        for name, text in headers.items():
            value = text.strip(" \t").encode("utf-8", "surrogateescape")
            if NAME.fullmatch(name) is None or FORBIDDEN.search(value):
                return Form((), refused=f"a header that may not be written: {name[:64]!r}")
            if name.lower() not in NOT_WRITTEN:
                fields.append((name.lower().encode(), value))
        return Form(tuple(fields), head_only=method == "HEAD")
