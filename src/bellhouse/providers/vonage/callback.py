"""Vonage's delivery receipts and inbound messages, verified and read into news."""

from datetime import UTC, datetime
from typing import Final

from bellhouse.domain.delivery import NewsKind
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.provider import CallbackRefused, CallbackRequest, News, NewsEffect
from bellhouse.providers import rules
from bellhouse.providers.callbacks import attempt_of, checked_body, choice_of, delivery_id_of, form_of, query_of
from bellhouse.providers.vonage.config import VonageConfig
from bellhouse.security.signatures import vonage_signed

_KIND: Final[dict[str, NewsKind]] = {
    "accepted": "accepted",
    "buffered": "accepted",
    "delivered": "delivered",
    "expired": "failed",
    "failed": "failed",
    "rejected": "failed",
}
"""Its `unknown` says nothing and is left out."""
_EFFECT: Final[dict[str, NewsEffect]] = {
    "3": "retire",  # absent for good
    "12": "retire",  # unreachable number
    "4": "suppress",  # barred by the person
    "9": "suppress",
    "14": "suppress",
}
_WINDOW_MS = 25 * 3_600_000
"""Vonage repeats a receipt for a day."""


class VonageCallbacks:
    """Reads the receipts and inbound messages of one API key; by POST (JSON or form) or GET, as the account is set."""

    def __init__(self, config: VonageConfig) -> None:
        """Raises ValueError without a signature secret: an unsigned receipt could be anybody's."""
        if not config.signature_secret:
            raise ValueError("receipts are read only from an account that signs them")
        self._config = config

    def read(self, request: CallbackRequest) -> list[News]:
        """One piece of news or none. Raises CallbackRefused where the signature is not Vonage's, or is old."""
        fields = _fields(request)
        if not vonage_signed(self._config.signature_secret, fields, self._config.signature_method):
            raise CallbackRefused("the signature is not Vonage's")
        signed_at = _moment(fields.get("timestamp", ""))
        if signed_at is None or abs(request.now - signed_at) > _WINDOW_MS:
            raise CallbackRefused("the signature is too old")
        return self._receipt(fields, request.now) if fields.get("status") else self._inbound(fields, request.now)

    def _receipt(self, fields: dict[str, str], now: int) -> list[News]:
        status, error = fields["status"], fields.get("err-code", "")
        kind = _KIND.get(status)
        delivery, attempt = _reference(fields.get("client-ref", ""))
        effect = _EFFECT.get(error, "none") if kind == "failed" else "none"
        if kind is None or (delivery is None and effect == "none"):
            return []
        return [
            News(
                event_id=f"{self._config.name}:{fields.get('messageId', '')}:{status}:{error}",
                kind=kind,
                at=_moment(fields.get("message-timestamp", "")) or now,
                delivery_id=delivery,
                attempt=attempt,
                code=error or None,
                reason=status,
                effect=effect,
                address=_number(fields),
                price=rules.number_of(fields.get("price")),
            )
        ]

    def _inbound(self, fields: dict[str, str], now: int) -> list[News]:
        """A recipient's own message: outside of US short codes a STOP is ours to honour."""
        choice = choice_of(fields.get("text") or fields.get("keyword", ""))
        if choice is None:
            return []
        return [
            News(
                event_id=f"{self._config.name}:{fields.get('messageId', '')}:inbound",
                kind=None,
                at=_moment(fields.get("message-timestamp", "")) or now,
                reason="opt_out" if choice == "stop" else "opt_in",
                effect="opt_out" if choice == "stop" else "none",
                address=_number(fields),
            )
        ]


def _fields(request: CallbackRequest) -> dict[str, str]:
    if request.method == "GET":
        return dict(query_of(request.url))
    if not rules.is_json(checked_body(request.body)):
        return dict(form_of(request.body))
    document = rules.json_object(request.body)
    if document is None:
        raise CallbackRefused("not a JSON object", 400)
    return {name: rules.text_of(value) for name, value in document.items()}


def _reference(text: str) -> tuple[DeliveryId | None, int]:
    """Our `client-ref`: the delivery as 32 hexadecimal digits, a hyphen, the attempt."""
    identifier, _, attempt = text.rpartition("-")
    return delivery_id_of(identifier), attempt_of(attempt)


def _number(fields: dict[str, str]) -> str | None:
    number = fields.get("msisdn", "").removeprefix("+")
    return f"+{number}" if number else None


def _moment(text: str) -> int | None:
    """A moment in ms since the epoch: epoch seconds, or `YYYY-MM-DD HH:MM:SS` in UTC."""
    moment = rules.epoch_ms(text)
    if moment is not None:
        return moment
    try:
        return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
