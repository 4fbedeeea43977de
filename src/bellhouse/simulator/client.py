"""A small synchronous client of the simulator's own API, for tests and the command line."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


class SimulatorError(Exception):
    """The simulator refused a request; `field` names the faulty dial, if one was at fault."""

    def __init__(self, status: int, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.status = status
        self.field = field


class SimulatorClient:
    """Speaks to the simulator at `url`, e.g. `http://127.0.0.1:8090`."""

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._timeout_s = timeout_s

    def credentials(self) -> dict[str, Any]:
        """Everything a client of the simulated providers needs."""
        return self._object("GET", "/credentials")

    def dials(self) -> dict[str, Any]:
        """The dials of all providers."""
        return self._object("GET", "/dials")

    def put_dials(self, provider: str, **dials: object) -> dict[str, Any]:
        """Change some dials of one provider (None = back to the default); returns all of them."""
        return self._object("PUT", f"/dials/{provider}", dials)

    def reset(self) -> None:
        """Dials to their defaults; receipts, tokens and pending callbacks gone."""
        self._object("POST", "/reset")

    def set_account(self, callback_base_url: str | None) -> None:
        """Where account-level callbacks go."""
        self._object("PUT", "/account", {"callback_base_url": callback_base_url})

    def pending_callbacks(self) -> dict[str, int]:
        """How many callbacks are outstanding, and what became of the others."""
        return self._object("GET", "/callbacks/pending")

    def summary(self) -> dict[str, Any]:
        """Counts of receipts by provider and verdict."""
        return self._object("GET", "/receipts/summary")

    def receipts(self, since: int = 0) -> Iterator[dict[str, Any]]:
        """Receipts numbered above `since`, oldest first."""
        connection = self._connection()
        try:
            connection.request("GET", f"/receipts?since={since}")
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _error(response.status, response.read())
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def _object(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = self._connection()
        try:
            connection.request(method, path, None if body is None else json.dumps(body, default=list))
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise _error(response.status, answer)
        result: dict[str, Any] = json.loads(answer)
        return result


def _error(status: int, answer: bytes) -> SimulatorError:
    try:
        problem = json.loads(answer)["error"]
        return SimulatorError(status, problem["field"], problem["message"])
    except (ValueError, KeyError, TypeError):
        return SimulatorError(status, "", answer[:200].decode("utf-8", "replace"))
