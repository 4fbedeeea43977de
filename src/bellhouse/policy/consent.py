"""What a recipient has chosen: consent, and preferences by type, category and channel.

The more specific choice wins. A topic (type, else category) switched off is off everywhere; a type that is
switched on stays on though its category is off. For a channel, what the type says goes before what the category
says, and that before the general choice. Security asks none of this.
"""

from bellhouse.domain.catalogue import NotificationType
from bellhouse.domain.recipient import Preferences
from bellhouse.domain.words import Category, Channel
from bellhouse.policy.reasons import ReasonCode


def refusal(preferences: Preferences, kind: NotificationType, channel: Channel) -> ReasonCode | None:
    """Why she does not want this type on this channel, or None where she does not object."""
    if kind.category == "security":
        return None
    return _consent_refusal(preferences, kind.category) or _choice_refusal(preferences, kind, channel)


def _consent_refusal(preferences: Preferences, category: Category) -> ReasonCode | None:
    proof = preferences.consent.get(category)
    if proof is None:
        return "suppressed:no_consent" if category == "marketing" else None
    return None if proof.given else "suppressed:unsubscribed"


def _choice_refusal(preferences: Preferences, kind: NotificationType, channel: Channel) -> ReasonCode | None:
    type_is_on = False
    if (choice := preferences.types.get(kind.name)) is not None:
        said = False if choice.enabled is False else choice.channels.get(channel)
        if said is not None:
            return None if said else "suppressed:type_off"
        type_is_on = choice.enabled is True
    if (choice := preferences.categories.get(kind.category)) is not None:
        said = False if choice.enabled is False and not type_is_on else choice.channels.get(channel)
        if said is not None:
            return None if said else "suppressed:category_off"
    return "suppressed:channel_off" if preferences.channels.get(channel) is False else None
