"""Asks an engine that answers in HTTP and JSON, in words when it refuses."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from bellhouse.engines.errors import ProgramFailed

_ANSWER_S = 10.0
# A proxy that the environment names is not for loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def answers(url: str) -> bool:
    """Whether a GET of the address is answered by a status of success now."""
    try:
        with _open(url, timeout=_ANSWER_S):
            return True
    except OSError:
        return False


def ask(url: str, parameters: Mapping[str, str] | None = None) -> Any:
    """The JSON of a GET; raises ProgramFailed with the engine's complaint."""
    return json.loads(_answer(f"{url}?{urllib.parse.urlencode(parameters)}" if parameters else url))


def tell(url: str, body: Any = None) -> bytes:
    """The answer to a POST, whose body is sent as JSON; raises ProgramFailed with the engine's complaint."""
    data = b"" if body is None else json.dumps(body).encode()
    return _answer(urllib.request.Request(url, data, {"Content-Type": "application/json"}, method="POST"))


def _answer(request: str | urllib.request.Request) -> bytes:
    try:
        with _open(request, timeout=_ANSWER_S) as response:
            answer: bytes = response.read()
            return answer
    except urllib.error.HTTPError as error:
        with error:
            said = error.read().decode(errors="replace").strip()
        raise ProgramFailed(f"{error.url} answered {error.code}: {said}") from None
    except OSError as error:
        where = request if isinstance(request, str) else request.full_url
        raise ProgramFailed(f"{where} does not answer: {error}") from error
