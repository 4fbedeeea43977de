"""Twilio's status callbacks and inbound messages, verified and read into news."""

from typing import Final
from urllib.parse import SplitResult, urlsplit

from bellhouse.domain.delivery import NewsKind
from bellhouse.ports.provider import CallbackRefused, CallbackRequest, News, NewsEffect
from bellhouse.providers.callbacks import attempt_of, choice_of, delivery_id_of, form_of, query_of
from bellhouse.providers.twilio.config import TwilioConfig
from bellhouse.security.signatures import TwilioAlgorithm, twilio_signed

_KIND: Final[dict[str, NewsKind]] = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "accepted",
    "delivered": "delivered",
    "read": "delivered",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}
_SHA1: Final[TwilioAlgorithm] = "sha1"
_SHA256: Final[TwilioAlgorithm] = "sha256"
_PROVIDER_TIMEOUT = "30410"
"""A failure that says only that nobody knows: the state stays as it is."""
_EFFECT: Final[dict[str, NewsEffect]] = {
    "30005": "retire",  # unknown destination
    "30006": "retire",  # a landline
    "30004": "suppress",  # blocked by or for this person
    "21610": "opt_out",
}


class TwilioCallbacks:
    """Reads `StatusCallback` posts and inbound messages of one account."""

    def __init__(self, config: TwilioConfig) -> None:
        self._name = config.name
        self._auth_token = config.auth_token
        self._shared_key = config.shared_key

    def read(self, request: CallbackRequest) -> list[News]:
        """One piece of news or none. Raises CallbackRefused where the signature is not Twilio's."""
        form = form_of(request.body)
        self._verify(request, form)
        fields = dict(form)
        status = fields.get("MessageStatus") or fields.get("SmsStatus", "")
        if status in ("received", "receiving") or (not status and "Body" in fields):
            return self._inbound(fields, request.now)
        return self._status(fields, status, request)

    def _verify(self, request: CallbackRequest, form: list[tuple[str, str]]) -> None:
        given = request.headers.get("x-twilio-signature", "")
        if _announces_sha256(request.headers.get("x-twilio-webhooks-signature-settings", "")):
            secret, algorithm = self._shared_key, _SHA256
        else:
            secret, algorithm = self._auth_token, _SHA1
        if not secret or not twilio_signed(secret, _ways_to_write(request.url), form, given, algorithm):
            raise CallbackRefused("the signature is not Twilio's")

    def _status(self, fields: dict[str, str], status: str, request: CallbackRequest) -> list[News]:
        ours = dict(query_of(request.url))
        delivery = delivery_id_of(ours.get("delivery_id"))
        error = fields.get("ErrorCode") or None
        effect = _EFFECT.get(error, "none") if error is not None else "none"
        kind = _KIND.get(status)
        if kind is None or (delivery is None and effect == "none"):
            return []
        return [
            News(
                event_id=f"{self._name}:{fields.get('MessageSid', '')}:{status}",
                kind=None if error == _PROVIDER_TIMEOUT else kind,
                at=request.now,
                delivery_id=delivery,
                attempt=attempt_of(ours.get("attempt")),
                code=error,
                reason=status,
                effect=effect,
                address=fields.get("To"),
            )
        ]

    def _inbound(self, fields: dict[str, str], now: int) -> list[News]:
        """A recipient's own message: Twilio blocks after STOP by itself, but the record of it is ours to keep."""
        choice = choice_of(fields.get("OptOutType") or fields.get("Body", ""))
        if choice is None:
            return []
        return [
            News(
                event_id=f"{self._name}:{fields.get('MessageSid', '')}:inbound",
                kind=None,
                at=now,
                reason="opt_out" if choice == "stop" else "opt_in",
                effect="opt_out" if choice == "stop" else "none",
                address=fields.get("From"),
            )
        ]


def _announces_sha256(settings: str) -> bool:
    pairs = (part.partition("=") for part in settings.split(","))
    return any(name.strip() == "algorithm" and value.strip().upper() == "HMAC_SHA256" for name, _, value in pairs)


def _ways_to_write(url: str) -> list[str]:
    """The URL as it is, with its scheme's port and without one: which of them Twilio signed depends on its age.

    A fragment is never sent, so it is not signed.
    """
    plain = url.partition("#")[0]
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError:
        return [plain]
    if port is None:
        return [plain, _with_host(parts, f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}")]
    return [plain, _with_host(parts, parts.netloc.rpartition(":")[0])]


def _with_host(parts: SplitResult, host: str) -> str:
    return parts._replace(netloc=host).geturl()
