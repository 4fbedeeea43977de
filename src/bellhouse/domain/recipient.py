"""A recipient as the platform knows her: zone, locale, contact points, preferences and consent."""

import msgspec

from bellhouse.domain.words import Category, Channel


class ContactPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address of a recipient."""

    id: str
    """Stable within the profile: derived from channel and address, so a repeated PUT keeps it."""
    channel: Channel
    address: str
    """The email address, E.164 number, or device token; for in_app it is empty."""
    providers: tuple[str, ...] = ()
    """The providers that can reach it (`fcm` for an FCM token); empty means every provider of the channel."""
    added_at: int = 0


class ConsentProof(msgspec.Struct, frozen=True, omit_defaults=True):
    """Consent with its proof: when, where and to which text."""

    given: bool
    at: str = ""
    source: str = ""
    text: str = ""


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a recipient chose for a category or a type: on or off, and by channel."""

    enabled: bool | None = None
    channels: dict[Channel, bool] = {}


class QuietHours(msgspec.Struct, frozen=True, omit_defaults=True):
    """When she does not want to be disturbed, in her own zone; `start` may be later than `end` (over midnight)."""

    start: str
    """HH:MM"""
    end: str
    """HH:MM"""
    days: tuple[int, ...] = ()
    """ISO weekdays (1 Monday … 7 Sunday) on which it begins; empty is every day."""


class Preferences(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every choice of a recipient."""

    channels: dict[Channel, bool] = {}
    categories: dict[Category, Choice] = {}
    types: dict[str, Choice] = {}
    quiet_hours: QuietHours | None = None
    consent: dict[Category, ConsentProof] = {}


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recipient's row."""

    user_id: str
    zone: str = "UTC"
    locale: str = "en"
    contacts: tuple[ContactPoint, ...] = ()
    preferences: Preferences = Preferences()
