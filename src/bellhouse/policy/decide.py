"""The decision: on which channels, to which contact points and when a notification goes out, and why not on others.

The order is: the caller's explicit request, else the type's channels; the recipient's consent and preferences; the
template's content; reachable contact points; quiet hours. A stop of an address always wins. Security cannot be
opted out of: where such a stop or a missing contact point leaves it nothing but the inbox, it takes another channel.
"""

from collections.abc import Collection
from typing import Final

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.ids import MAX_DELIVERIES
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery, Reason
from bellhouse.domain.recipient import ContactPoint, Profile
from bellhouse.domain.words import Channel
from bellhouse.policy import quiet
from bellhouse.policy.consent import refusal
from bellhouse.policy.reasons import ReasonCode

IN_APP: Final = ContactPoint(id="in_app", channel="in_app", address="")
"""The contact point that everyone has."""

FALLBACKS: Final[tuple[Channel, ...]] = ("push", "sms", "email", "chat", "in_app")
"""What security takes when nothing that was meant can reach her: the swiftest first."""


def decide(
    notification: Notification,
    kind: NotificationType,
    profile: Profile | None,
    suppressed: Collection[str],
    template_channels: Collection[Channel],
    template: str | None,
    template_version: int,
    now: int,
) -> Decision:
    """Decide a notification from its facts.

    `profile` is None for a recipient who was deleted; `suppressed` holds the addresses that are stopped (a set);
    `template_channels` are those that the template has content for. The same facts give the same decision. Each
    planned delivery carries the reason for its yes, `Decision.reasons` those for each no.
    """
    if now > notification.expires_at:
        return Decision("expired", now, (), (Reason("expired:lifetime"),), template, template_version)
    if profile is None:
        gone = (Reason("suppressed:recipient_deleted"),)
        return Decision("suppressed", now, (), gone, template, template_version)
    case = _Case(notification, kind, profile, suppressed, template_channels, now)
    case.take_all()
    if kind.category == "security":
        case.secure()
    planned = tuple(case.planned)
    return Decision(
        "planned" if planned else "suppressed", now, planned, tuple(case.reasons), template, template_version
    )


class _Case:
    """One notification while it is being decided."""

    __slots__ = (
        "contents",
        "first",
        "kind",
        "later",
        "not_before",
        "planned",
        "profile",
        "reasons",
        "requested",
        "stops",
    )

    def __init__(
        self,
        notification: Notification,
        kind: NotificationType,
        profile: Profile,
        stops: Collection[str],
        contents: Collection[Channel],
        now: int,
    ) -> None:
        self.kind = kind
        self.profile = profile
        self.stops = stops
        self.contents = contents
        self.requested = notification.channels
        self.first = kind.mode == "first"
        self.planned: list[PlannedDelivery] = []
        self.reasons: list[Reason] = []
        ready_at = notification.ready_at
        self.not_before = ready_at if ready_at > now else 0
        self.later = (
            0
            if profile.preferences.quiet_hours is None
            else quiet.deferral(kind, profile, notification.recipient, max(now, ready_at), notification.expires_at)
        )

    def take_all(self) -> None:
        """Take each channel that was asked for, or else that the type names, and say why the others are left out."""
        requested = self.requested
        if requested is None:
            requested, why = self.kind.channels, _WHY_OF_MODE[self.kind.mode]
        else:
            why = _REQUESTED
            for channel in self.kind.channels:
                if channel not in requested:
                    self.reasons.append(Reason("suppressed:not_requested", channel))
        for channel in dict.fromkeys(requested):
            if self.first and self.planned:
                self.reasons.append(Reason("suppressed:earlier_channel", channel))
            else:
                self.take(channel, why)

    def take(self, channel: Channel, why: ReasonCode) -> None:
        """Plan a channel's deliveries, or note why there are none."""
        code = refusal(self.profile.preferences, self.kind, channel)
        if code is None and channel not in self.contents:
            code = "suppressed:no_template_content"
        if code is not None:
            self.reasons.append(Reason(code, channel))
        elif channel == "in_app":
            self.plan(IN_APP, why, self.not_before)
        elif self.later == quiet.DROPPED:
            self.reasons.append(Reason("suppressed:quiet_hours", channel))
        elif self.later:
            self.reach(channel, "deferred:quiet_hours", self.later)
        else:
            self.reach(channel, why, self.not_before)

    def reach(self, channel: Channel, why: ReasonCode, not_before: int) -> None:
        """Plan every device of push, and the first usable contact point of another channel."""
        stops = self.stops
        found = False
        for contact in self.profile.contacts:
            if contact.channel != channel:
                continue
            found = True
            if contact.address in stops:
                self.reasons.append(Reason("suppressed:address", channel, contact.id))
                continue
            self.plan(contact, why, not_before)
            if channel != "push":
                return
        if not found:
            self.reasons.append(Reason("suppressed:no_contact_point", channel))

    def plan(self, contact: ContactPoint, why: ReasonCode, not_before: int) -> None:
        """Add one delivery, as long as an ordinal is left for it."""
        ordinal = len(self.planned) + 1
        if ordinal > MAX_DELIVERIES:
            self.reasons.append(Reason("suppressed:too_many_contact_points", contact.channel, contact.id))
            return
        self.planned.append(PlannedDelivery(ordinal, contact.channel, contact.id, not_before, why))

    def secure(self) -> None:
        """Take the first channel that reaches her where those that were meant do not, or reach her inbox alone."""
        meant = self.kind.channels if self.requested is None else self.requested
        if self.planned and (meant == ("in_app",) or any(plan.channel != "in_app" for plan in self.planned)):
            return
        taken = [plan.channel for plan in self.planned]
        for channel in FALLBACKS:
            before = len(self.planned)
            if channel not in meant and channel not in taken:
                self.take(channel, "chosen:security_fallback")
            if len(self.planned) > before:
                return


_REQUESTED: Final[ReasonCode] = "chosen:requested"
_WHY_OF_MODE: Final[dict[str, ReasonCode]] = {"all": "chosen:type_channel", "first": "chosen:first_reachable"}
