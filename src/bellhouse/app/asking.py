"""Asks over HTTP those who may be gone, hung or somebody else: processes for their metrics, a server, a Prometheus."""

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

_PATIENCE_S: Final = 10.0
"""One answer may take so long; all that the doctor asks for together ends well within two minutes."""
_AT_ONCE: Final = 16
_OK: Final = 200


class Unanswered(Exception):
    """Who was asked gave no answer, or one that says nothing; the text says why."""


class Hung(Unanswered):
    """Who was asked is there, and did not answer in time."""


def ask(method: str, url: str, key: str | None = None, patience_s: float = _PATIENCE_S) -> tuple[int, bytes]:
    """Status and body. Raises Unanswered where there is no answer, Hung where only the time ran out."""
    headers = {"accept": "*/*"} | ({"authorization": f"Bearer {key}"} if key else {})
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Unanswered(f"it is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Unanswered("it is no URL")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=patience_s)
    try:
        connection.request(method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    except TimeoutError:
        raise Hung(f"no answer within {patience_s:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unanswered(str(error) or type(error).__name__) from None
    finally:
        connection.close()


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is; an empty one where it is none."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def metrics_of(targets: Sequence[str], patience_s: float = _PATIENCE_S) -> Iterator[tuple[str, str | Unanswered]]:
    """Each address of `/metrics` with its text, or why there is none; all are asked at once."""

    def text(target: str) -> str | Unanswered:
        try:
            status, body = ask("GET", metrics_address(target), patience_s=patience_s)
        except Unanswered as error:
            return error
        return body.decode("utf-8", "replace") if status == _OK else Unanswered(f"it answers {status}")

    with ThreadPoolExecutor(min(_AT_ONCE, len(targets))) as pool:
        yield from zip(targets, pool.map(text, targets), strict=True)


def metrics_address(target: str) -> str:
    """The address with the path that is meant where none is given."""
    address = target if "://" in target else f"http://{target}"
    try:
        path = urlsplit(address).path
    except ValueError:
        return address  # it is told when it is asked
    return address if path.strip("/") else f"{address.rstrip('/')}/metrics"


def host_of(target: str) -> str:
    """Host and port of an address of `/metrics`."""
    return urlsplit(metrics_address(target)).netloc


def prometheus_alerts(url: str) -> Sequence[Mapping[str, Any]]:
    """The alerts of a Prometheus, pending and firing. Raises Unanswered, also for what is no Prometheus."""
    return _rows(f"{url.rstrip('/')}/api/v1/alerts", "alerts")


def prometheus_results(url: str, queries: Iterable[str]) -> Sequence[Sequence[Mapping[str, Any]]]:
    """The series of each query as they are now. Raises Unanswered, also for what is no Prometheus."""

    def result(query: str) -> Sequence[Mapping[str, Any]]:
        return _rows(f"{url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}", "result")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(result, queries))


def _rows(url: str, name: str) -> Sequence[Mapping[str, Any]]:
    status, body = ask("GET", url)
    if status != _OK:
        raise Unanswered(f"it answers {status}")
    data = object_of(body).get("data")
    rows = data.get(name) if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unanswered("it answers, but not as a Prometheus does")
    return rows
