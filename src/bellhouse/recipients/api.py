"""The routes of recipients, their preferences, suppressed addresses and inboxes."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from bellhouse.domain.ids import DeliveryId, from_text
from bellhouse.domain.recipient import Preferences, Profile
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import AuditStore
from bellhouse.ports.store.deliver import Suppression
from bellhouse.ports.store.recipients import RecipientStore
from bellhouse.recipients.contacts import suppressed_form
from bellhouse.recipients.wire import (
    InboxAnswer,
    MarkAnswer,
    MarkRequest,
    PreferencesBody,
    RecipientAnswer,
    RecipientRequest,
    RecipientsAnswer,
    RecipientsRequest,
    SuppressionAnswer,
    SuppressionRequest,
    checked_preferences,
    inbox_item,
    no_recipient,
    preferences_answer,
    preferences_of,
    profile_of,
    recipient_answer,
    suppression_answer,
)
from bellhouse.web.acts import act_of
from bellhouse.web.auth import Caller
from bellhouse.web.cursors import cursor_of, read_cursor
from bellhouse.web.parameters import UserIdInPath
from bellhouse.web.problems import FieldError, Problem, invalid
from bellhouse.web.rest import OF_BODY, Given, StrictRequest, caller_of, needs, problems

Recipients = Given[RecipientStore]
Acts = Given[AuditStore]
Time = Given[Clock]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="Items of a page.")]


class RecipientsController(Controller):
    """Recipients as a whole."""

    path = "/v1/recipients"
    tags = ("Recipients",)

    @post(
        "/batch",
        status_code=200,
        guards=[needs("manage")],
        summary="Store up to 1,000 recipients",
        operation_id="putRecipients",
        responses=problems(*OF_BODY),
    )
    async def put_many(
        self,
        data: JSONBody[RecipientsRequest],
        request: StrictRequest,
        recipient_store: Recipients,
        clock: Time,
    ) -> RecipientsAnswer:
        """Create or replace many recipients in one go; all of them, or none where one is faulty."""
        caller, now = caller_of(request), clock.now()
        profiles: list[Profile] = []
        errors: list[FieldError] = []
        for index, item in enumerate(data.recipients):
            found = await recipient_store.get_recipient(caller.tenant, item.user_id)
            try:
                profiles.append(
                    profile_of(item.user_id, item, found[1] if found else None, now, f"recipients[{index}].")
                )
            except Problem as problem:
                errors.extend(problem.errors)
        if errors:
            raise invalid(*errors)
        created = await recipient_store.put_recipients(caller.tenant, profiles, now)
        if created < len(profiles):
            for item in data.recipients:
                if item.preferences is not None:
                    chosen = msgspec.msgpack.encode(preferences_of(item.preferences))
                    await recipient_store.update_preferences(caller.tenant, item.user_id, chosen, now)
        return RecipientsAnswer(created, len(profiles) - created)

    @put(
        "/{user_id:str}",
        guards=[needs("manage")],
        summary="Store a recipient",
        operation_id="putRecipient",
        responses=problems(*OF_BODY),
    )
    async def put_one(
        self,
        user_id: UserIdInPath,
        data: JSONBody[RecipientRequest],
        request: StrictRequest,
        recipient_store: Recipients,
        clock: Time,
    ) -> RecipientAnswer:
        """Create or replace a recipient: zone, locale and contact points. Preferences stay unless given."""
        caller, now = caller_of(request), clock.now()
        known = await recipient_store.get_recipient(caller.tenant, user_id)
        profile = profile_of(user_id, data, known[1] if known else None, now)
        await recipient_store.put_recipient(caller.tenant, profile, now)
        if known and data.preferences is not None:
            chosen = msgspec.msgpack.encode(profile.preferences)
            await recipient_store.update_preferences(caller.tenant, user_id, chosen, now)
        return recipient_answer(await _profile(recipient_store, caller, user_id))

    @get(
        "/{user_id:str}",
        guards=[needs("read")],
        summary="A recipient",
        operation_id="getRecipient",
        responses=problems("recipient_not_found", "validation_failed"),
    )
    async def get_one(
        self, user_id: UserIdInPath, request: StrictRequest, recipient_store: Recipients
    ) -> RecipientAnswer:
        """Zone, locale, contact points and preferences."""
        return recipient_answer(await _profile(recipient_store, caller_of(request), user_id))

    @delete(
        "/{user_id:str}",
        guards=[needs("manage")],
        summary="Delete a recipient",
        operation_id="deleteRecipient",
        responses=problems("recipient_not_found", "validation_failed"),
    )
    async def delete_one(self, user_id: UserIdInPath, request: StrictRequest, recipient_store: Recipients) -> None:
        """Remove a recipient with her contact points, preferences and inbox; what waits for her is suppressed."""
        if not await recipient_store.delete_recipient(caller_of(request).tenant, user_id):
            raise no_recipient(user_id)

    @get(
        "/{user_id:str}/preferences",
        guards=[needs("read")],
        summary="A recipient's preferences",
        operation_id="getPreferences",
        responses=problems("recipient_not_found", "validation_failed"),
    )
    async def get_preferences(
        self, user_id: UserIdInPath, request: StrictRequest, recipient_store: Recipients
    ) -> PreferencesBody:
        """Every choice that she has made."""
        return preferences_answer((await _profile(recipient_store, caller_of(request), user_id)).preferences)

    @put(
        "/{user_id:str}/preferences",
        guards=[needs("manage")],
        summary="Store a recipient's preferences",
        operation_id="putPreferences",
        responses=problems("recipient_not_found", *OF_BODY),
    )
    async def put_preferences(
        self,
        user_id: UserIdInPath,
        data: JSONBody[PreferencesBody],
        request: StrictRequest,
        recipient_store: Recipients,
        clock: Time,
    ) -> PreferencesBody:
        """Replace all of her choices."""
        chosen: Preferences = checked_preferences(data)
        record = msgspec.msgpack.encode(chosen)
        if not await recipient_store.update_preferences(caller_of(request).tenant, user_id, record, clock.now()):
            raise no_recipient(user_id)
        return preferences_answer(chosen)

    @get(
        "/{user_id:str}/inbox",
        guards=[needs("read")],
        summary="A recipient's inbox",
        operation_id="getInbox",
        responses=problems("recipient_not_found", "validation_failed", "invalid_cursor"),
    )
    async def get_inbox(
        self,
        user_id: UserIdInPath,
        request: StrictRequest,
        recipient_store: Recipients,
        clock: Time,
        limit: Limit = 50,
        unread: FromQuery[bool] = False,
        cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    ) -> InboxAnswer:
        """Her in-app messages, the newest first, and how many are unread."""
        before = DeliveryId(read_cursor(cursor)) if cursor is not None else None
        found = await recipient_store.inbox(caller_of(request).tenant, user_id, before, limit, unread, clock.now())
        if found is None:
            raise no_recipient(user_id)
        items, count = found
        following = cursor_of(items[-1].delivery) if len(items) == limit else None
        return InboxAnswer([inbox_item(item) for item in items], count, following)

    @post(
        "/{user_id:str}/inbox/mark",
        status_code=200,
        guards=[needs("manage")],
        summary="Mark messages read or unread",
        operation_id="markInbox",
        responses=problems("recipient_not_found", *OF_BODY),
    )
    async def mark(
        self,
        user_id: UserIdInPath,
        data: JSONBody[MarkRequest],
        request: StrictRequest,
        recipient_store: Recipients,
        clock: Time,
    ) -> MarkAnswer:
        """Mark in-app messages; those that are marked so already do not count."""
        deliveries, errors = [], []
        for index, text in enumerate(data.ids):
            try:
                deliveries.append(DeliveryId(from_text(text)))
            except ValueError:
                errors.append(FieldError(f"ids[{index}]", "invalid_format", "it takes the UUID of a delivery"))
        if errors:
            raise invalid(*errors)
        tenant = caller_of(request).tenant
        changed = await recipient_store.mark_read(tenant, user_id, deliveries, data.read, clock.now())
        if changed is None:
            raise no_recipient(user_id)
        return MarkAnswer(changed)


class SuppressionsController(Controller):
    """Addresses that must not be written to."""

    path = "/v1/suppressions"
    tags = ("Recipients",)

    @put(
        "/{address:path}",
        guards=[needs("manage")],
        summary="Suppress an address",
        operation_id="putSuppression",
        responses=problems(*OF_BODY),
    )
    async def put_one(
        self,
        address: FromPath[str],
        data: JSONBody[SuppressionRequest],
        request: StrictRequest,
        recipient_store: Recipients,
        audit_store: Acts,
        clock: Time,
    ) -> SuppressionAnswer:
        """Nothing is sent to this address from now on, whoever has it, security included."""
        caller, now = caller_of(request), clock.now()
        suppression = Suppression(caller.tenant, _address(address), data.reason, now, data.detail)
        await recipient_store.put_suppression(suppression)
        scope = f"an address of {caller.tenant_name}"
        await audit_store.record(act_of(caller, "suppression_add", scope, now, data.detail, "", data.reason))
        return suppression_answer(suppression)

    @get(
        "/{address:path}",
        guards=[needs("read")],
        summary="A suppressed address",
        operation_id="getSuppression",
        responses=problems("suppression_not_found", "validation_failed"),
    )
    async def get_one(
        self, address: FromPath[str], request: StrictRequest, recipient_store: Recipients
    ) -> SuppressionAnswer:
        """Why and since when it is suppressed."""
        found = await recipient_store.get_suppression(caller_of(request).tenant, _address(address))
        if found is None:
            raise Problem("suppression_not_found")
        return suppression_answer(found)

    @delete(
        "/{address:path}",
        guards=[needs("manage")],
        summary="Lift a suppression",
        operation_id="deleteSuppression",
        responses=problems("suppression_not_found", "validation_failed"),
    )
    async def delete_one(
        self,
        address: FromPath[str],
        request: StrictRequest,
        recipient_store: Recipients,
        audit_store: Acts,
        clock: Time,
    ) -> None:
        """The address may be written to again."""
        caller = caller_of(request)
        if not await recipient_store.delete_suppression(caller.tenant, _address(address)):
            raise Problem("suppression_not_found")
        scope = f"an address of {caller.tenant_name}"
        await audit_store.record(act_of(caller, "suppression_lift", scope, clock.now(), "", "suppressed"))


def _address(path: str) -> str:
    try:
        return suppressed_form(path.removeprefix("/"))
    except ValueError as error:
        raise invalid(FieldError("address", "invalid_format", str(error))) from error


async def _profile(store: RecipientStore, caller: Caller, user_id: str) -> Any:
    found = await store.get_recipient(caller.tenant, user_id)
    if found is None:
        raise no_recipient(user_id)
    return found[1]
