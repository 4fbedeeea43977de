"""The HTTP API as a command sees it: JSON in, JSON out, every refusal a Failure with its remedy."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bellhouse.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    import http.client

_PATIENCE_S: Final = 120.0
_REFUSED: Final = 400
_UNAUTHORIZED: Final = 401


class Api:
    """Speaks to one server with one key."""

    def __init__(self, url: str, key: str | None) -> None:
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Failure(f"{url} is no URL of a server", "Give one like http://127.0.0.1:8080", USAGE)
        self._url = url.rstrip("/")
        self._key = key
        self._parts = parts

    def get(self, path: str, **query: object) -> Any:
        """The answer to a GET; parameters that are None are left out."""
        from urllib.parse import urlencode

        given = {name: value for name, value in query.items() if value is not None}
        return self._call("GET", path + (f"?{urlencode(given)}" if given else ""), None)

    def post(self, path: str, body: object = None) -> Any:
        """The answer to a POST."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: object) -> Any:
        import http.client
        import json

        headers = {"accept": "application/json"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key}"
        if body is not None:
            headers["content-type"] = "application/json"
        connection = self._connection()
        try:
            target = self._parts.path.rstrip("/") + path
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(
                f"Nothing answers at {self._url}: {error}",
                "Start the server with `bellhouse serve`, or give another --url",
            ) from None
        finally:
            connection.close()
        if response.status >= _REFUSED:
            raise _refusal(response.status, answer)
        return _decoded(answer, self._url)

    def _connection(self) -> "http.client.HTTPConnection":
        import http.client

        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=_PATIENCE_S)


def connect(data: Path, url: str | None, key: str | None) -> Api:
    """The server that was named, or the one that runs on the data folder, with the key given or kept there.

    Raises Failure where there is neither.
    """
    if url is None:
        url = running_url(data)
    if url is None:
        raise Failure(
            f"No server runs on {data}",
            "Start one with `bellhouse serve`, or say where it is with --data, --url or BELLHOUSE_URL",
        )
    return Api(url, key or kept_key(data))


def running_url(data: Path) -> str | None:
    """Where the server of a data folder listens; None where none runs."""
    from bellhouse.app.folder import read_run_file

    running = read_run_file(data)
    return running.url if running else None


def kept_key(data: Path) -> str | None:
    """The development key of a data folder; None where there is none."""
    from bellhouse.app.secrets import development_key

    return development_key(data)


def _decoded(answer: bytes, url: str) -> Any:
    import json

    if not answer:
        return {}
    try:
        return json.loads(answer)
    except ValueError:
        raise Failure(f"{url} answers, but not as Bellhouse does", "Check --url") from None


def _refusal(status: int, answer: bytes) -> Failure:
    """Problem details (RFC 9457) in words."""
    import json

    try:
        problem = json.loads(answer)
        detail = str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return Failure(f"The server answered {status}", "Look into its log")
    fields = problem.get("errors") or []
    lines = [f"  {fault.get('field') or 'body'}: {fault.get('message')}" for fault in fields]
    remedy = str(problem.get("remedy") or "")
    if status == _UNAUTHORIZED:
        remedy = "Give a key with --key or BELLHOUSE_KEY; `bellhouse keys create` makes one"
    return Failure("\n".join([detail, *lines]), remedy)
