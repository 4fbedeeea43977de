"""Bounces and complaints as the MTA's pipe posts them: delivery status notifications (RFC 3464) and ARF (RFC 5965)."""

import re
from collections.abc import Iterator
from email.errors import MessageError
from email.message import Message as Mail
from email.parser import BytesParser
from email.policy import compat32
from typing import Final

from bellhouse.domain.delivery import NewsKind
from bellhouse.domain.ids import DeliveryId
from bellhouse.ports.provider import CallbackRefused, CallbackRequest, News
from bellhouse.providers.callbacks import attempt_of, checked_body, delivery_id_of
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.smtp.replies import DEAD_MAILBOX
from bellhouse.security.signatures import same_secret

_KIND: Final[dict[str, NewsKind]] = {
    "failed": "failed",
    "delivered": "delivered",
    "expanded": "delivered",
    "relayed": "accepted",
}
"""`delayed` is left out: the relay is still trying."""
_VERP = re.compile(r"bounce\+([0-9a-f]{32})@", re.IGNORECASE)
_ENVELOPE_ID = re.compile(r"([0-9a-f]{32})-([0-9]{1,9})", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})@", re.IGNORECASE)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_RECIPIENT_HEADERS = ("To", "Delivered-To", "X-Original-To", "Envelope-To")


class SmtpReports:
    """Reads what comes to the bounce address of one relay."""

    def __init__(self, config: SmtpConfig) -> None:
        """Raises ValueError where the config has no DSN secret."""
        if not config.dsn_secret:
            raise ValueError("bounces are read only with a secret")
        self._name = config.name
        self._expected = f"Bearer {config.dsn_secret}"

    def read(self, request: CallbackRequest) -> list[News]:
        """The news of one report; none for any other mail. Raises CallbackRefused without the secret."""
        if not same_secret(request.headers.get("authorization", ""), self._expected):
            raise CallbackRefused("the secret is wrong")
        try:
            report = BytesParser(policy=compat32).parsebytes(checked_body(request.body))
            parts = list(report.walk())
            return list(self._news(report, parts, request.now))
        except (MessageError, ValueError, LookupError, RecursionError, TypeError, AttributeError):
            # The standard parser promises to take anything, and breaks the promise in its accessors.
            raise CallbackRefused("not a mail", 400) from None

    def _news(self, report: Mail, parts: list[Mail], now: int) -> Iterator[News]:
        kind = _parameter(report, "report-type")
        if report.get_content_type() != "multipart/report":
            return
        delivery, attempt = _ours(report, parts)
        if delivery is None:
            return
        if kind == "feedback-report":
            yield self._complaint(delivery, attempt, now)
            return
        for block in _recipients(parts):
            news = self._outcome(block, delivery, attempt, now)
            if news is not None:
                yield news

    def _complaint(self, delivery: DeliveryId, attempt: int, now: int) -> News:
        return News(
            event_id=f"{self._name}:{delivery.hex()}:{attempt}:complaint",
            kind=None,
            at=now,
            delivery_id=delivery,
            attempt=attempt,
            reason="complaint",
            effect="suppress",
        )

    def _outcome(self, block: Mail, delivery: DeliveryId, attempt: int, now: int) -> News | None:
        action = _text(block, "Action").lower()
        kind = _KIND.get(action)
        if kind is None:
            return None
        found = _STATUS.search(_text(block, "Status"))
        status = found.group() if found is not None else ""
        dead = kind == "failed" and status in DEAD_MAILBOX
        return News(
            event_id=f"{self._name}:{delivery.hex()}:{attempt}:{action}:{status}",
            kind=kind,
            at=now,
            delivery_id=delivery,
            attempt=attempt,
            code=status or None,
            reason=" ".join(_text(block, "Diagnostic-Code").split())[:300] or action,
            effect="suppress" if dead else "none",
            address=_text(block, "Final-Recipient").rpartition(";")[2].strip() or None,
        )


def _recipients(parts: list[Mail]) -> Iterator[Mail]:
    """The per-recipient blocks of all delivery-status parts: each is a header block that has an Action."""
    for part in parts:
        if part.get_content_type() == "message/delivery-status" and part.is_multipart():
            yield from (block for block in part.get_payload() if isinstance(block, Mail) and "Action" in block)


def _ours(report: Mail, parts: list[Mail]) -> tuple[DeliveryId | None, int]:
    """Which delivery and attempt: by the envelope id we gave, else by the returned mail, else by the bounce address."""
    blocks = [*parts, *_returned(parts)]
    for block in blocks:
        found = _ENVELOPE_ID.search(_text(block, "Original-Envelope-Id"))
        if found is not None:
            return delivery_id_of(found.group(1)), attempt_of(found.group(2))
    attempt = next((attempt_of(_text(b, "X-Bellhouse-Attempt")) for b in blocks if "X-Bellhouse-Attempt" in b), 1)
    for block in blocks[1:]:
        found = _MESSAGE_ID.search(_text(block, "Message-ID"))
        if found is not None and (delivery := delivery_id_of(found.group(1))) is not None:
            return delivery, attempt
    for header in _RECIPIENT_HEADERS:
        found = _VERP.search(_text(report, header))
        if found is not None:
            return delivery_id_of(found.group(1)), attempt
    return None, 1


def _returned(parts: list[Mail]) -> Iterator[Mail]:
    """The headers of the returned mail where they came as `text/rfc822-headers`; a whole mail is a part already."""
    for part in parts:
        if part.get_content_type() == "text/rfc822-headers":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                yield BytesParser(policy=compat32).parsebytes(payload, headersonly=True)


def _text(block: Mail, name: str) -> str:
    value = block.get(name)
    return "" if value is None else str(value)


def _parameter(part: Mail, name: str) -> str:
    value = part.get_param(name)
    return value.lower() if isinstance(value, str) else ""
