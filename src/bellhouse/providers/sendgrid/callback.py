"""SendGrid's Event Webhook: a signed array of events, verified as a whole and read one by one."""

from typing import Any, Final

import msgspec

from bellhouse.domain.delivery import NewsKind
from bellhouse.ports.provider import CallbackRefused, CallbackRequest, News, NewsEffect
from bellhouse.providers import rules
from bellhouse.providers.callbacks import attempt_of, checked_body, delivery_id_of
from bellhouse.providers.sendgrid.config import SendGridConfig
from bellhouse.security.signatures import SendGridKey

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
_WINDOW_MS = 24 * 3_600_000 + 300_000
"""SendGrid repeats for a rolling day; a little more for its clock and ours."""

_PLAIN: Final[dict[str, tuple[NewsKind | None, NewsEffect]]] = {
    "processed": ("accepted", "none"),
    "delivered": ("delivered", "none"),
    "open": (None, "none"),
    "click": (None, "none"),
    "spamreport": (None, "suppress"),
    "unsubscribe": (None, "opt_out"),
    "group_unsubscribe": (None, "opt_out"),
    "group_resubscribe": (None, "none"),
}
"""Events whose word alone says what they mean. `deferred` is left out: SendGrid is still trying."""
_DROPPED: Final[tuple[tuple[str, NewsEffect], ...]] = (
    ("bounced address", "suppress"),
    ("unsubscribed address", "opt_out"),
    ("spam reporting address", "suppress"),
    ("invalid smtpapi", "none"),
    ("invalid", "suppress"),
)
"""What the reason of a `dropped` begins with; all others are about the content or the account."""


class SendGridEvents:
    """Reads the Event Webhook of one account."""

    def __init__(self, config: SendGridConfig) -> None:
        """Raises ValueError where the verification key is none."""
        self._name = config.name
        self._key = SendGridKey(config.verification_key)

    def read(self, request: CallbackRequest) -> list[News]:
        """The news of all events. Raises CallbackRefused where signature, time or form is not SendGrid's."""
        timestamp = request.headers.get(_TIMESTAMP, "")
        if not self._key.signed(request.headers.get(_SIGNATURE, ""), timestamp, checked_body(request.body)):
            raise CallbackRefused("the signature is not SendGrid's")
        signed_at = rules.epoch_ms(timestamp)
        if signed_at is None or abs(request.now - signed_at) > _WINDOW_MS:
            raise CallbackRefused("the signature is too old")
        news = (self._news(event, request.now) for event in _events(request.body))
        return [item for item in news if item is not None]

    def _news(self, event: dict[str, Any], now: int) -> News | None:
        word = rules.text_of(event.get("event"))
        meaning = _meaning(word, event)
        delivery = delivery_id_of(event.get("delivery_id"))
        if meaning is None or (delivery is None and meaning[1] == "none"):
            return None
        kind, effect = meaning
        at = rules.epoch_ms(event.get("timestamp"))
        return News(
            event_id=f"{self._name}:{_event_id(event, word)}",
            kind=kind,
            at=now if at is None else min(at, now),
            delivery_id=delivery,
            attempt=attempt_of(event.get("attempt")),
            code=rules.text_of(event.get("status")) or None,
            reason=rules.text_of(event.get("reason"))[:500] or word,
            effect=effect,
            address=rules.text_of(event.get("email")) or None,
        )


def _meaning(word: str, event: dict[str, Any]) -> tuple[NewsKind | None, NewsEffect] | None:
    if word == "bounce":
        # `blocked` is the soft one: reputation, a full mailbox, a policy.
        return "failed", "none" if event.get("type") == "blocked" else "suppress"
    if word == "dropped":
        reason = rules.text_of(event.get("reason")).lower()
        return "failed", next((effect for start, effect in _DROPPED if reason.startswith(start)), "none")
    return _PLAIN.get(word)


def _event_id(event: dict[str, Any], word: str) -> str:
    given = rules.text_of(event.get("sg_event_id"))
    if given:
        return given[:100]
    ours, at = rules.text_of(event.get("delivery_id")), rules.text_of(event.get("timestamp"))
    return f"{ours}:{word}:{at}"


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        return rules.objects_of(msgspec.json.decode(body))
    except rules.UNREADABLE:
        raise CallbackRefused("not a JSON array", 400) from None
