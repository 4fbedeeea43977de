"""What a tenant defines: notification types and templates."""

from typing import Literal

import msgspec

from bellhouse.domain.words import Category, Channel, Priority


class NotificationType(msgspec.Struct, frozen=True, omit_defaults=True):
    """The plan for a type of notification."""

    name: str
    category: Category
    priority: Priority = "normal"
    channels: tuple[Channel, ...] = ("push", "email")
    """In their order."""
    mode: Literal["all", "first"] = "all"
    """`all`: every channel that is allowed and reachable; `first`: only the first of them."""
    lifetime_s: int = 86_400
    """How long a notification of this type is worth sending, in seconds from when it is ready."""
    template: str | None = None
    """The template's name; None means the type's own name."""
    quiet_hours: Literal["defer", "drop", "ignore"] = "defer"
    """What the recipient's quiet hours do to it; security ignores them always."""
    on_unknown: Literal["retry", "keep"] | None = None
    """What follows an unknown outcome: `retry` (at least once) or `keep` (at most once); None is the category's."""


class ChannelTemplate(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sources of one channel; which fields are needed depends on the channel."""

    title: str | None = None
    body: str | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    image: str | None = None
    link: str | None = None


class Template(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a template: per locale, per channel, the sources."""

    name: str
    version: int
    locales: dict[str, dict[Channel, ChannelTemplate]]
    default_locale: str = "en"
    sample: dict[str, object] = {}
    """Data that a preview uses, and that proves at publishing that no variable is missing."""
