"""Problem details (RFC 9457): every error answer of every face, made in one place."""

from collections.abc import Iterable
from typing import Final

import msgspec

from bellhouse.ports.store.errors import OutcomeUnknown, StoreUnavailable
from bellhouse.web.codes import PROBLEMS, FieldCode, ProblemCode

MEDIA_TYPE: Final = "application/problem+json"
Headers = tuple[tuple[bytes, bytes], ...]


class FieldError(msgspec.Struct, frozen=True):
    """One faulty field."""

    field: str
    """Where, as `notifications[3].send_at`; a query parameter or header by its name; empty for the body itself."""
    code: FieldCode
    message: str


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it is answered: `application/problem+json` (RFC 9457)."""

    type: str
    title: str
    status: int
    code: ProblemCode
    detail: str
    remedy: str
    errors: tuple[FieldError, ...] = ()
    """Every faulty field."""


class Problem(Exception):
    """A request that ends in an error answer."""

    def __init__(
        self,
        code: ProblemCode,
        detail: str | None = None,
        errors: Iterable[FieldError] = (),
        retry_after_s: int | None = None,
        headers: Headers = (),
    ) -> None:
        meaning = PROBLEMS[code]
        self.code: ProblemCode = code
        self.status = meaning.status
        self.detail = detail or meaning.title + "."
        self.errors = tuple(errors)
        self.headers = headers if retry_after_s is None else (*headers, (b"retry-after", str(retry_after_s).encode()))
        super().__init__(f"{code}: {self.detail}")

    @property
    def details(self) -> ProblemDetails:
        """The answer's body as a value."""
        meaning = PROBLEMS[self.code]
        return ProblemDetails(
            type=f"/problems/{self.code}",
            title=meaning.title,
            status=meaning.status,
            code=self.code,
            detail=self.detail,
            remedy=meaning.remedy,
            errors=self.errors,
        )

    @property
    def body(self) -> bytes:
        """The answer's body as JSON."""
        return msgspec.json.encode(self.details)


STORE_RETRY_S: Final = 5


def store_problem(error: StoreUnavailable) -> Problem:
    """The answer to a store that could not write, or of which nobody knows whether it has."""
    code: ProblemCode = "outcome_unknown" if isinstance(error, OutcomeUnknown) else "store_unavailable"
    return Problem(code, f"{error.reason}: {error.remedy}", retry_after_s=STORE_RETRY_S)


def invalid(*errors: FieldError) -> Problem:
    """The answer to faulty fields; its detail counts them and shows the first."""
    first = errors[0]
    where = f"{first.field}: " if first.field else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem("validation_failed", f"{where}{first.message}{more}", errors)
