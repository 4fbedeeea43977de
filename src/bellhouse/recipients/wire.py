"""Recipients, preferences, suppressions and inboxes as callers send and see them."""

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from bellhouse.domain.ids import to_text
from bellhouse.domain.recipient import Choice, ConsentProof, ContactPoint, Preferences, Profile, QuietHours
from bellhouse.domain.windows import window, zone_of
from bellhouse.domain.words import Category, Channel
from bellhouse.ports.store.deliver import InboxItem, Suppression
from bellhouse.recipients.contacts import contact_id, normalized
from bellhouse.templates import locale
from bellhouse.web.problems import FieldError, Problem, invalid
from bellhouse.web.times import Moment, milliseconds, rfc3339, rfc3339_or_none
from bellhouse.web.words import Name, UserId

MAX_CONTACTS: Final = 100
_HHMM: Final = r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"
Hour = Annotated[str, msgspec.Meta(pattern=_HHMM, description="It takes HH:MM, 00:00 to 24:00.", examples=["22:00"])]
ShortText = Annotated[str, msgspec.Meta(max_length=1_000)]


class ContactRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contact point as it is sent."""

    channel: Channel
    address: Annotated[str, msgspec.Meta(max_length=4_096, examples=["ada@example.com"])] = ""
    """An email address, an E.164 number such as +33612345678, or a device token."""
    providers: Annotated[tuple[Name, ...], msgspec.Meta(max_length=8)] = ()
    """Those that can reach it (`fcm` for an FCM token); left out, every provider of the channel."""


class ChoiceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A choice for a category or a type: on or off altogether, or by channel."""

    enabled: bool | None = None
    channels: dict[Channel, bool] = {}


class QuietHoursRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When she is not to be disturbed, in her own zone; `start` may be later than `end`: over midnight."""

    start: Hour
    end: Hour
    days: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...],
        msgspec.Meta(
            max_length=7, description="ISO weekdays (1 Monday … 7 Sunday) on which it begins; empty is every day."
        ),
    ] = ()


class ConsentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Consent with its proof."""

    given: bool
    at: Moment | None = None
    source: ShortText = ""
    """Where it was given."""
    text: ShortText = ""
    """To which words."""


class PreferencesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every choice of a recipient; what is not there is as the type says."""

    channels: dict[Channel, bool] = {}
    categories: dict[Category, ChoiceRequest] = {}
    types: Annotated[dict[Name, ChoiceRequest], msgspec.Meta(max_length=1_000)] = {}
    quiet_hours: QuietHoursRequest | None = None
    consent: dict[Category, ConsentRequest] = {}


class RecipientRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipient as a whole: what is left out is taken away, but for her preferences, which stay."""

    zone: Annotated[str, msgspec.Meta(max_length=64, description="An IANA time zone.", examples=["Europe/Paris"])] = (
        "UTC"
    )
    locale: Annotated[str, msgspec.Meta(max_length=35, description="A BCP 47 tag.", examples=["fr-FR"])] = "en"
    contacts: Annotated[tuple[ContactRequest, ...], msgspec.Meta(max_length=MAX_CONTACTS)] = ()
    preferences: PreferencesBody | None = None
    """Replaces her preferences where it is there."""


class RecipientItem(RecipientRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One recipient of a batch."""

    user_id: UserId


class RecipientsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many recipients: all of them are stored, or none where one is faulty."""

    recipients: Annotated[tuple[RecipientItem, ...], msgspec.Meta(min_length=1, max_length=1_000)]


class RecipientsAnswer(msgspec.Struct, frozen=True):
    """How many were new and how many were replaced."""

    created: int
    replaced: int


class ContactAnswer(msgspec.Struct, frozen=True):
    """A contact point with its id, which notifications show in place of the address."""

    id: str
    channel: Channel
    address: str
    providers: tuple[str, ...]
    added_at: str | None


class RecipientAnswer(msgspec.Struct, frozen=True):
    """A recipient as she is stored."""

    user_id: str
    zone: str
    locale: str
    contacts: tuple[ContactAnswer, ...]
    preferences: PreferencesBody


class SuppressionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an address must not be written to."""

    reason: Annotated[Name, msgspec.Meta(examples=["operator"])] = "operator"
    detail: ShortText = ""


class SuppressionAnswer(msgspec.Struct, frozen=True):
    """A suppressed address."""

    address: str
    reason: str
    detail: str
    at: str


class InboxAnswerItem(msgspec.Struct, frozen=True):
    """An in-app message."""

    id: str
    """The delivery's id."""
    type: str
    title: str
    body: str
    link: str | None
    at: str
    read_at: str | None


class InboxAnswer(msgspec.Struct, frozen=True):
    """A page of an inbox, the newest first."""

    items: list[InboxAnswerItem]
    unread: int
    next: str | None
    """The cursor of the next page."""


class MarkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which in-app messages are now read, or unread."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1_000)]
    read: bool = True


class MarkAnswer(msgspec.Struct, frozen=True):
    """How many changed."""

    changed: int


def profile_of(user_id: str, request: RecipientRequest, known: Profile | None, now: int, at: str = "") -> Profile:
    """The profile to store. `at` is where the request stands in its body. Raises Problem with every faulty field."""
    errors = list(_faults(request, at))
    if errors:
        raise invalid(*errors)
    since = {contact.id: contact.added_at for contact in known.contacts} if known else {}
    contacts: dict[str, ContactPoint] = {}
    for sent in request.contacts:
        address = normalized(sent.channel, sent.address)
        name = contact_id(sent.channel, address)
        contacts[name] = ContactPoint(name, sent.channel, address, sent.providers, since.get(name) or now)
    preferences = preferences_of(request.preferences) if request.preferences else Preferences()
    return Profile(user_id, request.zone, locale.normalized(request.locale), tuple(contacts.values()), preferences)


def _faults(request: RecipientRequest, at: str) -> Iterator[FieldError]:
    try:
        zone_of(request.zone)
    except ValueError as error:
        yield FieldError(f"{at}zone", "unknown_zone", str(error))
    try:
        locale.normalized(request.locale)
    except ValueError as error:
        yield FieldError(f"{at}locale", "invalid_format", str(error))
    for index, contact in enumerate(request.contacts):
        try:
            normalized(contact.channel, contact.address)
        except ValueError as error:
            yield FieldError(f"{at}contacts[{index}].address", "invalid_contact", str(error))
    if request.preferences is not None:
        yield from preference_faults(request.preferences, f"{at}preferences.")


def preference_faults(body: PreferencesBody, at: str = "") -> Iterator[FieldError]:
    """What is wrong with preferences beyond their form."""
    hours = body.quiet_hours
    if hours is not None:
        try:
            window("UTC", hours.start, hours.end, hours.days)
        except ValueError as error:
            yield FieldError(f"{at}quiet_hours", "invalid_format", str(error))


def checked_preferences(body: PreferencesBody) -> Preferences:
    """The preferences to store. Raises Problem with every faulty field."""
    errors = tuple(preference_faults(body))
    if errors:
        raise invalid(*errors)
    return preferences_of(body)


def preferences_of(body: PreferencesBody) -> Preferences:
    """The body in the house's words."""
    hours = body.quiet_hours
    return Preferences(
        channels=body.channels,
        categories={name: Choice(choice.enabled, choice.channels) for name, choice in body.categories.items()},
        types={name: Choice(choice.enabled, choice.channels) for name, choice in body.types.items()},
        quiet_hours=QuietHours(hours.start, hours.end, hours.days) if hours else None,
        consent={name: _proof(proof) for name, proof in body.consent.items()},
    )


def _proof(proof: ConsentRequest) -> ConsentProof:
    return ConsentProof(proof.given, rfc3339(milliseconds(proof.at)) if proof.at else "", proof.source, proof.text)


def preferences_answer(preferences: Preferences) -> PreferencesBody:
    """Stored preferences as they are shown."""
    shown = msgspec.to_builtins(preferences)
    for proof in shown.get("consent", {}).values():
        if not proof.get("at"):
            proof.pop("at", None)
    return msgspec.convert(shown, PreferencesBody)


def recipient_answer(profile: Profile) -> RecipientAnswer:
    """A stored profile as it is shown."""
    contacts = tuple(
        ContactAnswer(point.id, point.channel, point.address, point.providers, rfc3339_or_none(point.added_at))
        for point in profile.contacts
    )
    return RecipientAnswer(
        profile.user_id, profile.zone, profile.locale, contacts, preferences_answer(profile.preferences)
    )


def suppression_answer(suppression: Suppression) -> SuppressionAnswer:
    """A suppressed address as it is shown."""
    return SuppressionAnswer(suppression.address, suppression.reason, suppression.detail, rfc3339(suppression.at))


def inbox_item(item: InboxItem) -> InboxAnswerItem:
    """An in-app message as it is shown."""
    return InboxAnswerItem(
        to_text(item.delivery),
        item.type,
        item.title,
        item.body,
        item.link,
        rfc3339(item.at),
        rfc3339_or_none(item.read_at),
    )


def no_recipient(user_id: str) -> Problem:
    """The answer about a recipient who does not exist."""
    return Problem("recipient_not_found", f"There is no recipient {user_id!r}.")
