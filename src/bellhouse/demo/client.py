"""The demo's caller: the public HTTP API, as any product would use it."""

from collections.abc import Mapping
from typing import Final, TypeVar, assert_never

import msgspec

from bellhouse.adapters.transport.pyreqwest import PyreqwestTransport, TransportConfig
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Exchange, NoAnswer, NotSent, Request, Response

_TIMEOUT_S: Final = 10.0
_TRIES: Final = 6
_LONGEST_WAIT_S: Final = 3.0
_OK: Final = frozenset({200, 201, 202, 204})
_LATER: Final = frozenset({429, 503})
"""Answers that say: nothing was taken, come back."""

_T = TypeVar("_T")


class Refusal(Exception):
    """An error answer: the problem's status, code and detail."""

    def __init__(self, what: str, status: int, code: str, detail: str) -> None:
        super().__init__(f"{what}: {status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class Problem(msgspec.Struct, frozen=True):
    """The parts of a problem answer (RFC 9457) that a caller acts on."""

    code: str = "unreadable"
    detail: str = ""
    errors: tuple[dict[str, str], ...] = ()

    @property
    def reason(self) -> str:
        """The first faulty field's code, else the problem's own."""
        return self.errors[0].get("code", self.code) if self.errors else self.code


class Client:
    """Calls the API with one key. Retries what was certainly not taken, as a product's own client would."""

    def __init__(self, url: str, key: str, clock: Clock, connections: int = 64) -> None:
        self._transport = PyreqwestTransport(TransportConfig(url, in_flight=connections, pool_wait_s=_TIMEOUT_S))
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._clock = clock

    async def close(self) -> None:
        await self._transport.close()

    async def get(self, path: str, kind: type[_T]) -> _T:
        """`GET path`, decoded. Raises Refusal."""
        return msgspec.json.decode((await self.call("GET", path)).body, type=kind)

    async def put(self, path: str, body: object) -> None:
        """`PUT path`. Raises Refusal."""
        await self.call("PUT", path, msgspec.json.encode(body))

    async def post(self, path: str, body: object, kind: type[_T]) -> _T:
        """`POST path`, decoded. Raises Refusal."""
        return msgspec.json.decode((await self.call("POST", path, msgspec.json.encode(body))).body, type=kind)

    async def call(self, method: str, path: str, body: bytes = b"") -> Response:
        """One call, repeated while the answer is that nothing was taken. Raises Refusal for any other error."""
        answer = await self.ask(method, path, body)
        if answer.status in _OK:
            return answer
        problem = problem_of(answer)
        fields = "; ".join(f"{error.get('field')}: {error.get('message')}" for error in problem.errors[:3])
        raise Refusal(f"{method} {path}", answer.status, problem.code, fields or problem.detail)

    async def ask(self, method: str, path: str, body: bytes = b"", *, repeatable: bool = True) -> Response:
        """One call with whatever answer it gets; an answer that never came is status 0.

        It is repeated where nothing was taken, and where it is `repeatable` also where no answer came.
        """
        request = Request(method, path, self._headers, body)
        outcome: Exchange = NotSent("never tried")
        for attempt in range(_TRIES):
            outcome = await self._once(request)
            wait = _wait_s(outcome, attempt, repeatable=repeatable)
            if wait is None:
                break
            await self._clock.sleep(wait)
        return outcome if isinstance(outcome, Response) else Response(0, {}, b"")

    async def _once(self, request: Request) -> Exchange:
        outcomes: list[Exchange] = []
        await self._transport.exchange([request], lambda _, outcome, __: outcomes.append(outcome), _TIMEOUT_S)
        return outcomes[0]


def _wait_s(outcome: Exchange, attempt: int, *, repeatable: bool) -> float | None:
    """How long to wait before the next try; None where this is the last word."""
    pause: float = min(_LONGEST_WAIT_S, 0.05 * 2**attempt)
    match outcome:
        case Response():
            return _seconds(outcome.headers, pause) if outcome.status in _LATER else None
        case NotSent():
            return pause
        case NoAnswer():
            return pause if repeatable else None
        case _:
            assert_never(outcome)


def _seconds(headers: Mapping[str, str], otherwise: float) -> float:
    text = headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT_S) if text.isdigit() else otherwise


def problem_of(answer: Response) -> Problem:
    """The problem that an error answer states."""
    try:
        return msgspec.json.decode(answer.body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Problem(
            "no_answer" if answer.status == 0 else "unreadable", answer.body[:200].decode("utf-8", "replace")
        )
