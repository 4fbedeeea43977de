"""The routes that say what became of notifications, and cancel them."""

from collections.abc import Sequence
from typing import Annotated, assert_never

import msgspec
from litestar import Controller, get, post
from litestar.params import PathParameter, QueryParameter

from bellhouse.domain.ids import NotificationId, TenantNo, from_text
from bellhouse.domain.words import NotificationState
from bellhouse.ops.story import NotificationLine, NotificationView, line_of, view_of
from bellhouse.ops.trace import TraceAnswer, trace_view
from bellhouse.ops.why import WhyAnswer, why_of
from bellhouse.policy.pauses import Pause, pauses_of
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import LeverReader
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.ports.store.ingest import IngestStore
from bellhouse.ports.store.insights import Insights, ListQuery, Story
from bellhouse.web.cursors import cursor_of, read_cursor
from bellhouse.web.parameters import CampaignInQuery, NameInQuery, UserIdInQuery
from bellhouse.web.problems import Problem
from bellhouse.web.rest import Given, Since, StrictRequest, caller_of, needs, problems, read_since

Reads = Given[Insights]
Writes = Given[IngestStore]
Levers = Given[LeverReader]
Catalogue = Given[CatalogueStore]
Time = Given[Clock]
Id = Annotated[str, PathParameter(description="The notification's id.")]


class NotificationsAnswer(msgspec.Struct, frozen=True):
    """A page of notifications, the newest first."""

    notifications: list[NotificationLine]
    next: str | None
    """The cursor of the next page."""


class CancelAnswer(msgspec.Struct, frozen=True):
    """What was waiting of it is cancelled; what had been sent stays sent."""

    id: str
    state: NotificationState


class NotificationsController(Controller):
    """Notifications after they were accepted."""

    path = "/v1/notifications"
    tags = ("Notifications",)

    @get(
        guards=[needs("read")],
        summary="List notifications",
        operation_id="listNotifications",
        responses=problems("validation_failed", "invalid_cursor"),
    )
    async def all(
        self,
        request: StrictRequest,
        insights: Reads,
        user_id: UserIdInQuery = None,
        notification_type: NameInQuery = None,
        campaign: CampaignInQuery = None,
        notification_state: Annotated[NotificationState | None, QueryParameter(name="state")] = None,
        since: Since = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200, description="Items of a page.")] = 50,
        cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    ) -> NotificationsAnswer:
        """The tenant's notifications, the newest first."""
        query = ListQuery(
            tenant=caller_of(request).tenant,
            user_id=user_id,
            type=notification_type,
            state=notification_state,
            since=read_since(since),
            before=NotificationId(read_cursor(cursor)) if cursor is not None else None,
            limit=limit,
            campaign=campaign,
        )
        found = await insights.list(query)
        lines = [line_of(note, msgspec.convert(state, NotificationState)) for note, state in found]
        following = cursor_of(found[-1][0].id) if len(found) == limit else None
        return NotificationsAnswer(lines, following)

    @get(
        "/{notification_id:str}",
        guards=[needs("read")],
        summary="The whole story of a notification",
        operation_id="getNotification",
        responses=problems("notification_not_found"),
    )
    async def get_one(
        self,
        notification_id: Id,
        request: StrictRequest,
        insights: Reads,
        lever_store: Levers,
        catalogue: Catalogue,
        clock: Time,
    ) -> NotificationView:
        """State, decision with reasons, deliveries, attempts and callbacks, each with its time."""
        pauses = await _pauses(lever_store, catalogue, clock)
        return await _view(insights, caller_of(request).tenant, notification_id, pauses)

    @get(
        "/{notification_id:str}/why",
        guards=[needs("read")],
        summary="Why she got it, or why not",
        operation_id="whyNotification",
        responses=problems("notification_not_found"),
    )
    async def why(
        self,
        notification_id: Id,
        request: StrictRequest,
        insights: Reads,
        lever_store: Levers,
        catalogue: Catalogue,
        clock: Time,
    ) -> WhyAnswer:
        """The story in sentences."""
        pauses = await _pauses(lever_store, catalogue, clock)
        return why_of(await _view(insights, caller_of(request).tenant, notification_id, pauses))

    @get(
        "/{notification_id:str}/trace",
        guards=[needs("read")],
        summary="The trace of a notification",
        operation_id="traceNotification",
        responses=problems("notification_not_found"),
    )
    async def trace(self, notification_id: Id, request: StrictRequest, insights: Reads) -> TraceAnswer:
        """Its spans with their times and the latency budget, rebuilt from what is stored: whether it was sampled or
        not, and only what is stored."""
        return trace_view(await _story(insights, caller_of(request).tenant, notification_id))

    @post(
        "/{notification_id:str}/cancel",
        status_code=200,
        guards=[needs("send")],
        summary="Cancel a notification",
        operation_id="cancelNotification",
        responses=problems("notification_not_found", "too_late_to_cancel"),
    )
    async def cancel(
        self,
        notification_id: Id,
        request: StrictRequest,
        ingest_store: Writes,
        insights: Reads,
        clock: Time,
    ) -> CancelAnswer:
        """Cancel what has not been sent; cancelling twice is the same as once."""
        caller = caller_of(request)
        identifier = _identifier(notification_id)
        result = await ingest_store.cancel(caller.tenant, identifier, clock.now(), caller.key_id)
        match result:
            case "cancelled" | "already_cancelled":
                view = await _view(insights, caller.tenant, notification_id)
                return CancelAnswer(view.id, view.state)
            case "too_late":
                raise Problem("too_late_to_cancel")
            case "unknown":
                raise _no_notification(notification_id)
            case _:
                assert_never(result)


def _identifier(text: str) -> NotificationId:
    try:
        return NotificationId(from_text(text))
    except ValueError as error:
        raise _no_notification(text) from error


def _no_notification(text: str) -> Problem:
    return Problem("notification_not_found", f"There is no notification {text[:64]!r}.")


async def _pauses(levers: LeverReader, catalogue: CatalogueStore, clock: Clock) -> Sequence[Pause]:
    """The brakes that are pulled now."""
    now = clock.now()
    rows = [lever for lever in (await levers.levers()).rows if lever.holds(now)]
    return pauses_of(rows, await catalogue.tenants()) if rows else ()


async def _story(insights: Insights, tenant: TenantNo, text: str) -> Story:
    story = await insights.story(tenant, _identifier(text))
    if story is None:
        raise _no_notification(text)
    return story


async def _view(insights: Insights, tenant: TenantNo, text: str, pauses: Sequence[Pause] = ()) -> NotificationView:
    return view_of(await _story(insights, tenant, text), pauses)
