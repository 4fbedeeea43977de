"""What a caller of the API needs: keep-alive connections, JSON in and out, every answer as it came."""

import http.client
import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


class Answer:
    """One HTTP answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def codes(self) -> dict[str, str]:
        """A problem's faulty fields, each with its code."""
        return {error["field"]: error["code"] for error in self.json.get("errors", [])}

    def ok(self) -> Any:
        """The JSON of an answer that must be a success."""
        assert 200 <= self.status < 300, f"{self.status}: {self.body[:2_000]!r}"
        return self.json if self.body else None

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.body[:500]!r})"


class Client:
    """Speaks to one server with one key; a connection a thread."""

    def __init__(self, url: str, key: str | None, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.key = key
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def __del__(self) -> None:
        for connection in self._opened:
            connection.close()

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request; bytes and iterables go out as they are. Raises OSError for no answer, and for a part of one."""
        given = {"content-type": "application/json", **(headers or {})}
        if self.key is not None:
            given.setdefault("authorization", f"Bearer {self.key}")
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self._connection()
        try:
            connection.request(method, path, raw, given)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        except http.client.HTTPException as error:
            self.hang_up()
            raise ConnectionError(f"the answer broke off: {error!r}") from error
        except BaseException:
            self.hang_up()
            raise

    def hang_up(self) -> None:
        """Close this thread's connection; the next request opens another."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._opened.remove(connection)
            self._local.connection = None

    def _connection(self) -> http.client.HTTPConnection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=self._timeout_s)
            self._local.connection = connection
            self._opened.append(connection)
        held: http.client.HTTPConnection = connection
        return held

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        return self.ask("GET", path).ok()

    def put(self, path: str, body: object) -> Any:
        """The JSON of a PUT that must succeed."""
        return self.ask("PUT", path, body).ok()

    def post(self, path: str, body: object = None) -> Any:
        """The JSON of a POST that must succeed."""
        return self.ask("POST", path, {} if body is None else body).ok()

    def delete(self, path: str) -> None:
        """A DELETE that must succeed."""
        self.ask("DELETE", path).ok()

    # --- what the tests ask for most ---

    def send(self, user_id: str, kind: str, **fields: object) -> str:
        """Send one notification; answers its id."""
        answer = self.ask("POST", "/v1/notifications", {"user_id": user_id, "type": kind, **fields})
        assert answer.status == 202, answer
        identifier: str = answer.json["id"]
        return identifier

    def story(self, identifier: str) -> Any:
        """The whole story of a notification."""
        return self.get(f"/v1/notifications/{identifier}")

    def ledger(self, recount: bool = True) -> Any:
        """The ledger; counted from the rows too."""
        return self.get(f"/v1/ledger?recount={'true' if recount else 'false'}")
