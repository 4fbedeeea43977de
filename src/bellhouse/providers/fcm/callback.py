"""The receipt of a device app: FCM reports no arrival, so the app hands back the token that came with the message."""

from typing import Literal

import msgspec

from bellhouse.ports.provider import CallbackRefused, CallbackRequest, News
from bellhouse.providers import rules
from bellhouse.providers.callbacks import checked_body, delivery_id_of
from bellhouse.providers.fcm.config import FcmConfig
from bellhouse.security.signatures import ReceiptKey

_OLDEST_MS = 28 * 86_400_000
"""FCM keeps a message for four weeks, so no receipt is older."""


class _Receipt(msgspec.Struct):
    delivery_id: str
    receipt: str
    event: Literal["delivered", "opened"]
    at: int | None = None


_decode = msgspec.json.Decoder(_Receipt).decode


class FcmReceipts:
    """Reads `{"delivery_id", "receipt", "event": "delivered" | "opened", "at": epoch ms}`."""

    def __init__(self, config: FcmConfig) -> None:
        """Raises ValueError where the config has no receipt secret."""
        self._name = config.name
        self._key = ReceiptKey(config.receipt_secret)

    def read(self, request: CallbackRequest) -> list[News]:
        """The one piece of news. Raises CallbackRefused where the token is not ours for this delivery."""
        try:
            receipt = _decode(checked_body(request.body))
        except rules.UNREADABLE:
            raise CallbackRefused("not a receipt", 400) from None
        delivery = delivery_id_of(receipt.delivery_id)
        attempt = None if delivery is None else self._key.attempt_of(delivery, receipt.receipt)
        if delivery is None or attempt is None:
            raise CallbackRefused("the receipt token is not ours")
        return [
            News(
                event_id=f"{self._name}:{delivery.hex()}:{attempt}:{receipt.event}",
                kind="delivered" if receipt.event == "delivered" else None,
                at=_believed(receipt.at, request.now),
                delivery_id=delivery,
                attempt=attempt,
                reason=receipt.event,
            )
        ]


def _believed(at: int | None, now: int) -> int:
    """The device's own time where it can be true; a phone's clock may be anywhere."""
    return at if at is not None and now - _OLDEST_MS <= at <= now else now
