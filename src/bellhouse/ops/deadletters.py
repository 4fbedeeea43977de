"""The routes of dead letters: inspected, sent again at a rate, discarded with a reason."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from bellhouse.domain.ids import DeliveryId, from_text, notification_of, to_text
from bellhouse.domain.levers import ActWord
from bellhouse.domain.words import Channel
from bellhouse.policy.reasons import sentence
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import AuditStore
from bellhouse.ports.store.dead_letters import DeadLetterFilter, DeadLetterRow, DeadLetterState, DeadLetterStore
from bellhouse.web.acts import DryRun, Why, act_of, warnings_of
from bellhouse.web.auth import Caller
from bellhouse.web.cursors import cursor_of, read_cursor
from bellhouse.web.problems import FieldError, invalid
from bellhouse.web.rest import OF_BODY, Given, Since, StrictRequest, caller_of, needs, problems, read_since
from bellhouse.web.times import Moment, rfc3339, since_ms
from bellhouse.web.words import Name

_PAGE: Final = 500
_WORK_S: Final = 10.0
"""How long one call works; what is left is for the next."""

Letters = Given[DeadLetterStore]
Acts = Given[AuditStore]
Time = Given[Clock]
Act = Callable[[Sequence[DeliveryId]], Awaitable[int]]


class DeadLetterView(msgspec.Struct, frozen=True):
    """A delivery that was given up."""

    id: str
    """The delivery's id."""
    notification_id: str
    channel: Channel
    provider: str | None
    type: str
    user_id: str
    reason: str
    sentence: str
    code: str | None
    """The provider's own code."""
    at: str
    state: DeadLetterState
    epoch: int
    """How often it has been replayed."""
    by: str
    why: str


class DeadLettersAnswer(msgspec.Struct, frozen=True):
    """A page of dead letters."""

    dead_letters: list[DeadLetterView]
    next: str | None
    """The cursor of the next page."""


class FilterRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which open dead letters; an empty filter is all of them."""

    channel: Channel | None = None
    reason: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    provider: Name | None = None
    type: Name | None = None
    since: Moment | None = None


class ReplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to send again: `ids`, or a `filter`."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1_000)] | None = None
    filter: FilterRequest | None = None
    rate: Annotated[float, msgspec.Meta(gt=0, le=1_000_000, description="The most a second.")] | None = None
    lifetime_s: Annotated[
        int, msgspec.Meta(ge=1, le=30 * 86_400, description="How long what would have expired may live from now.")
    ] = 3_600
    why: Why = ""
    dry_run: DryRun = False


class DiscardRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to put away: `ids`, or a `filter`; and why."""

    why: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1_000)] | None = None
    filter: FilterRequest | None = None
    dry_run: DryRun = False


class ActAnswer(msgspec.Struct, frozen=True):
    """How many were dealt with; where `more` is true some are left, and the same call goes on with them."""

    done: int
    """Or how many would be, where it is only tried."""
    more: bool
    dry_run: bool = False
    warnings: list[str] = []


class DeadLettersController(Controller):
    """Deliveries that were given up."""

    path = "/v1/dead-letters"
    tags = ("Operations",)

    @get(
        guards=[needs("operate")],
        summary="List dead letters",
        operation_id="listDeadLetters",
        responses=problems("validation_failed", "invalid_cursor"),
    )
    async def all(
        self,
        request: StrictRequest,
        dead_letter_store: Letters,
        channel: FromQuery[Channel | None] = None,
        reason: FromQuery[str | None] = None,
        provider: FromQuery[str | None] = None,
        letter_type: Annotated[str | None, QueryParameter(name="type")] = None,
        since: Since = None,
        letter_state: Annotated[DeadLetterState, QueryParameter(name="state")] = "open",
        limit: Annotated[int, QueryParameter(ge=1, le=1_000, description="Items of a page.")] = 100,
        cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    ) -> DeadLettersAnswer:
        """Open dead letters, the oldest first; with another `state`, those replayed or discarded."""
        wanted = DeadLetterFilter(
            tenant=_tenant(caller_of(request)),
            channel=channel,
            reason=reason,
            provider=provider,
            type=letter_type,
            since=read_since(since),
            state=letter_state,
        )
        after = DeliveryId(read_cursor(cursor)) if cursor is not None else None
        rows = await dead_letter_store.dead_letters(wanted, after, limit)
        following = cursor_of(rows[-1].delivery) if len(rows) == limit else None
        return DeadLettersAnswer([_view(row) for row in rows], following)

    @post(
        "/replay",
        status_code=200,
        guards=[needs("operate")],
        summary="Send dead letters again",
        operation_id="replayDeadLetters",
        responses=problems(*OF_BODY),
    )
    async def replay(
        self,
        data: JSONBody[ReplayRequest],
        request: StrictRequest,
        dead_letter_store: Letters,
        audit_store: Acts,
        clock: Time,
    ) -> ActAnswer:
        """Send open dead letters again, each once however often it is asked, at most `rate` a second."""
        caller = caller_of(request)

        async def act(ids: Sequence[DeliveryId]) -> int:
            lifetime = data.lifetime_s * 1000
            return await dead_letter_store.replay(ids, _tenant(caller), clock.now(), lifetime, caller.key_id)

        wanted = _wanted(data.ids, data.filter, caller)
        acting = _Acting(dead_letter_store, audit_store, caller, clock, "dlq_replay", data.why, data.dry_run)
        return await acting.run(wanted, act, data.rate)

    @post(
        "/discard",
        status_code=200,
        guards=[needs("operate")],
        summary="Discard dead letters",
        operation_id="discardDeadLetters",
        responses=problems(*OF_BODY),
    )
    async def discard(
        self,
        data: JSONBody[DiscardRequest],
        request: StrictRequest,
        dead_letter_store: Letters,
        audit_store: Acts,
        clock: Time,
    ) -> ActAnswer:
        """Put open dead letters away for good, with who did it and why."""
        caller = caller_of(request)

        async def act(ids: Sequence[DeliveryId]) -> int:
            return await dead_letter_store.discard(ids, _tenant(caller), clock.now(), caller.key_id, data.why)

        wanted = _wanted(data.ids, data.filter, caller)
        acting = _Acting(dead_letter_store, audit_store, caller, clock, "dlq_discard", data.why, data.dry_run)
        return await acting.run(wanted, act, None)


class _Acting(msgspec.Struct, frozen=True):
    """One act on dead letters, with its record."""

    store: DeadLetterStore
    audit: AuditStore
    caller: Caller
    clock: Clock
    word: ActWord
    why: str
    dry_run: bool

    async def run(self, wanted: DeadLetterFilter, act: Act, rate: float | None) -> ActAnswer:
        """Deal with them, or count those that would be dealt with."""
        answer = await _in_pages(self.store, wanted, _counted if self.dry_run else act, self.clock, rate)
        if answer.done and not self.dry_run:
            done = f"{answer.done} of them"
            scope = _words(wanted)
            await self.audit.record(act_of(self.caller, self.word, scope, self.clock.now(), self.why, "", done))
        return msgspec.structs.replace(answer, dry_run=self.dry_run, warnings=warnings_of(self.why))


async def _in_pages(
    store: DeadLetterStore, wanted: DeadLetterFilter, act: Act, clock: Clock, rate: float | None
) -> ActAnswer:
    """Deal with open dead letters page by page, no faster than `rate`, for as long as one call may work."""
    started = clock.monotonic()
    page = _PAGE if rate is None else max(1, min(_PAGE, int(rate)))
    done, after = 0, None
    while True:
        rows = await store.dead_letters(wanted, after, page)
        if not rows:
            return ActAnswer(done, False)
        done += await act([row.delivery for row in rows])
        after = rows[-1].delivery
        if len(rows) < page:
            return ActAnswer(done, False)
        if clock.monotonic() - started >= _WORK_S:
            return ActAnswer(done, True)
        await clock.sleep(len(rows) / rate if rate and act is not _counted else 0)


async def _counted(ids: Sequence[DeliveryId]) -> int:
    return len(ids)


def _words(wanted: DeadLetterFilter) -> str:
    """Which dead letters, as the record of an act says it."""
    if wanted.ids is not None:
        return f"{len(wanted.ids)} ids" if len(wanted.ids) > 1 else to_text(wanted.ids[0])
    named = ("channel", "reason", "provider", "type")
    words = [f"{name}={value}" for name in named if (value := getattr(wanted, name)) is not None]
    words += [f"since={rfc3339(wanted.since)}"] if wanted.since is not None else []
    return ", ".join(words) or "all"


def _tenant(caller: Caller) -> Any:
    """Whose dead letters: the caller's, or everybody's for an `admin`."""
    return None if caller.everywhere else caller.tenant


def _wanted(ids: tuple[str, ...] | None, chosen: FilterRequest | None, caller: Caller) -> DeadLetterFilter:
    if (ids is None) == (chosen is None):
        raise invalid(FieldError("ids", "required", "either `ids` or `filter` must be there; `filter: {}` is all"))
    if ids is not None:
        return DeadLetterFilter(tenant=_tenant(caller), ids=_identifiers(ids))
    assert chosen is not None
    return DeadLetterFilter(
        tenant=_tenant(caller),
        channel=chosen.channel,
        reason=chosen.reason,
        provider=chosen.provider,
        type=chosen.type,
        since=since_ms(chosen.since),
    )


def _identifiers(texts: Sequence[str]) -> tuple[DeliveryId, ...]:
    found, errors = [], []
    for index, text in enumerate(texts):
        try:
            found.append(DeliveryId(from_text(text)))
        except ValueError:
            errors.append(FieldError(f"ids[{index}]", "invalid_format", "it takes the UUID of a delivery"))
    if errors:
        raise invalid(*errors)
    return tuple(found)


def _view(row: DeadLetterRow) -> DeadLetterView:
    return DeadLetterView(
        id=to_text(row.delivery),
        notification_id=to_text(notification_of(row.delivery)),
        channel=row.channel,
        provider=row.provider,
        type=row.type,
        user_id=row.user_id,
        reason=row.reason,
        sentence=sentence(row.reason),
        code=row.code,
        at=rfc3339(row.at),
        state=row.state,
        epoch=row.epoch,
        by=row.by,
        why=row.why,
    )
