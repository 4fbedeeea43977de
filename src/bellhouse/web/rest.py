"""How our Litestar handlers read, guard, fail and are documented."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import ParameterKwarg, QueryParameter, SkipValidation
from litestar.types import ExceptionHandlersMap, Guard

from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.security.keys import Scope
from bellhouse.web.auth import CALLER, Caller
from bellhouse.web.body import BODY
from bellhouse.web.codes import PROBLEMS, ProblemCode
from bellhouse.web.decode import decode, parameter_fault
from bellhouse.web.problems import MEDIA_TYPE, FieldError, Problem, ProblemDetails, invalid, store_problem
from bellhouse.web.times import Moment, since_ms

T = TypeVar("T")
Given: TypeAlias = NamedDependency[SkipValidation[T]]
"""Marks a handler's parameter that the application gives by its name, such as a store."""

_OF_STATUS: Final[dict[int, ProblemCode]] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


Since = Annotated[
    str | None,
    QueryParameter(description="From this moment on: RFC 3339 with a zone.", schema_extra={"format": "date-time"}),
]


def read_since(text: str | None) -> int | None:
    """The moment of a `since` in ms since the epoch. Raises Problem; the framework would take a bare number, too."""
    try:
        return None if text is None else since_ms(msgspec.convert(text, Moment))
    except msgspec.ValidationError as error:
        raise invalid(parameter_fault("since", str(error))) from error


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON body is decoded into the handler's `data` type at once, strictly."""

    async def json(self) -> Any:
        """The decoded body. Raises the Problem that names every faulty field."""
        field = self.route_handler.parsed_data_field
        return decode(_decoder(field.annotation if field else Any), body_of(self))


@lru_cache(maxsize=256)
def _decoder(wanted: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(wanted)


def body_of(request: Request[Any, Any, Any]) -> bytes:
    """The body as it came; the front has read it."""
    body: bytes = cast("dict[str, Any]", request.scope)[BODY]
    return body


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Who calls; the front has verified the key."""
    caller: Caller = cast("dict[str, Any]", request.scope)[CALLER]
    return caller


def needs(scope: Scope) -> Guard:
    """A guard: the key must have this scope."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        connection.scope[CALLER].needs(scope)  # type: ignore[typeddict-item]  # our own key

    return guard


def answer(problem: Problem) -> Response[ProblemDetails]:
    """The problem as Litestar's response."""
    headers = {name.decode(): value.decode() for name, value in problem.headers}
    return Response(problem.details, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def exception_handlers(unexpected: Callable[[Exception], None]) -> ExceptionHandlersMap:
    """Every exception as problem details; `unexpected` is told of what is our mistake."""

    def mistaken(_: Request[Any, Any, Any], error: Exception) -> Response[ProblemDetails]:
        unexpected(error)
        return answer(Problem("internal_error"))

    def framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[ProblemDetails]:
        if error.status_code >= 500:
            unexpected(error)
        return answer(_translated(request, error))

    return {
        Problem: lambda _, problem: answer(problem),
        StoreUnavailable: lambda _, error: answer(store_problem(error)),
        HTTPException: framework,
        Exception: mistaken,
    }


def _translated(request: Request[Any, Any, Any], error: HTTPException) -> Problem:
    """The framework's refusal in our words."""
    if isinstance(error, ValidationException):
        return _invalid_parameters(request, error)
    allow = next((value for name, value in (error.headers or {}).items() if name.lower() == "allow"), "")
    methods = sorted(method for method in allow.split(", ") if method not in ("", "OPTIONS"))
    headers = ((b"allow", ", ".join(methods).encode()),) if methods else ()
    return Problem(_OF_STATUS.get(error.status_code, "internal_error"), headers=headers)


def _invalid_parameters(request: Request[Any, Any, Any], error: ValidationException) -> Problem:
    extra = error.extra if isinstance(error.extra, list) else []
    shown = _shown_names(request)
    faults = [_parameter_fault(item, shown) for item in extra if isinstance(item, dict)]
    if not faults:
        return invalid(FieldError("", "invalid_format", "a parameter cannot be read"))
    return invalid(*faults)


def _shown_names(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The handler's parameters by name, as callers know them."""
    shown = {}
    for name, field in request.route_handler.parsed_fn_signature.parameters.items():
        definition = field.kwarg_definition
        if isinstance(definition, ParameterKwarg):
            shown[name] = definition.name or name
    return shown


def _parameter_fault(item: dict[str, Any], shown: dict[str, str]) -> FieldError:
    name, message = str(item.get("key", "")), str(item.get("message", ""))
    name = shown.get(name, name)
    if name == "data":
        return FieldError("", "required", "the body must be there")
    if "missing" in message.lower():
        return FieldError(name, "required", "this parameter must be there")
    return parameter_fault(name, message)


ALWAYS: Final[tuple[ProblemCode, ...]] = (
    "unauthorized",
    "forbidden",
    "store_unavailable",
    "outcome_unknown",
    "internal_error",
)
OF_BODY: Final[tuple[ProblemCode, ...]] = (
    "malformed_json",
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
    "validation_failed",
)


def problems(*codes: ProblemCode, always: Sequence[ProblemCode] = ALWAYS) -> dict[int, ResponseSpec]:
    """The documented error answers of a handler, one for each status, with an example for each code."""
    by_status: dict[int, list[ProblemCode]] = {}
    for code in (*codes, *always):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {
        status: ResponseSpec(
            ProblemDetails,
            generate_examples=False,
            description="; ".join(PROBLEMS[code].title for code in dict.fromkeys(of)),
            media_type=MEDIA_TYPE,
            examples=[
                Example(id=code, summary=PROBLEMS[code].title, value=_example(code)) for code in dict.fromkeys(of)
            ],
        )
        for status, of in sorted(by_status.items())
    }


def _example(code: ProblemCode) -> dict[str, Any]:
    errors = (FieldError("user_id", "required", "this field must be there"),) if code == "validation_failed" else ()
    shown: dict[str, Any] = msgspec.to_builtins(Problem(code, errors=errors).details)
    return shown
