"""The route of the record of operators' acts."""

from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import QueryParameter

from bellhouse.domain.levers import Act, ActWord
from bellhouse.ports.levers import ActFilter, AuditStore
from bellhouse.web.problems import Problem
from bellhouse.web.rest import Given, Since, StrictRequest, needs, problems, read_since
from bellhouse.web.times import rfc3339

Acts = Given[AuditStore]


class ActView(msgspec.Struct, frozen=True):
    """What an operator did."""

    at: str
    act: ActWord
    scope: str
    """About what."""
    by: str
    """The name of the API key."""
    key_id: str
    why: str
    before: str
    after: str


class AuditAnswer(msgspec.Struct, frozen=True):
    """A page of acts, the newest first."""

    acts: list[ActView]
    next: str | None
    """The cursor of the next page."""


class AuditController(Controller):
    """What operators did."""

    path = "/v1/audit"
    tags = ("Operations",)

    @get(
        guards=[needs("operate")],
        summary="What operators did",
        operation_id="listActs",
        responses=problems("validation_failed", "invalid_cursor"),
    )
    async def all(
        self,
        request: StrictRequest,  # noqa: ARG002  # the framework reads parameters strictly by it
        audit_store: Acts,
        act: Annotated[ActWord | None, QueryParameter(description="Only acts of this kind.")] = None,
        since: Since = None,
        limit: Annotated[int, QueryParameter(ge=1, le=1_000, description="Items of a page.")] = 100,
        cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    ) -> AuditAnswer:
        """Each act once, with who did it, when and why. What was only tried is not among them."""
        rows = await audit_store.acts(ActFilter(read_since(since), act, _number(cursor)), limit)
        return AuditAnswer([_view(row) for row in rows], str(rows[-1].number) if len(rows) == limit else None)


def _number(cursor: str | None) -> int | None:
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Problem("invalid_cursor")
    return None if cursor is None else int(cursor)


def _view(row: Act) -> ActView:
    return ActView(rfc3339(row.at), row.act, row.scope, row.by, row.key, row.why, row.before, row.after)
