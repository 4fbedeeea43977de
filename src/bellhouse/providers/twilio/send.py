"""Sending by Twilio Messages: one form post per SMS, and the question what became of one that was not answered."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from bellhouse.domain.attempt import Accepted, Permanent
from bellhouse.domain.content import SmsContent
from bellhouse.domain.ids import made_at, to_text
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Exchange, Message, Report, Request, Response, Sheet, Transport, Trial
from bellhouse.providers import rules
from bellhouse.providers.addresses import is_e164
from bellhouse.providers.calls import ask, send_each, try_call
from bellhouse.providers.twilio.config import TwilioConfig
from bellhouse.providers.twilio.errors import price_of, verdict_of

LONGEST_TEXT = 1600
LONGEST_VALIDITY_S = 36_000
_PATIENCE = "#rc=3&rp=all"
"""Connection overrides: by default Twilio repeats a callback once, and only if nobody answered."""
_CLOCKS_APART_MS = 60_000
_DAY_MS = 86_400_000
_PAGE = 200


class TwilioProvider:
    """One account."""

    def __init__(self, config: TwilioConfig, transport: Transport, clock: Clock) -> None:
        """`transport` reaches Twilio's API and is closed by `stop`."""
        self._config = config
        self._sheet = config.sheet()
        self._transport = transport
        self._clock = clock
        user, secret = config.api_key_sid or config.account_sid, config.api_key_secret or config.auth_token
        self._authorization = "Basic " + b64encode(f"{user}:{secret}".encode()).decode("ascii")
        self._headers = {
            "authorization": self._authorization,
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        account = f"/2010-04-01/Accounts/{config.account_sid}"
        self._path = f"{account}/Messages.json"
        self._balance_path = f"{account}/Balance.json"

    @property
    def sheet(self) -> Sheet:
        return self._sheet

    def check(self, message: Message) -> Permanent | None:
        """A number in E.164 and a text of 1 to 1,600 characters."""
        content = message.content
        if not isinstance(content, SmsContent):
            return Permanent("Twilio takes SMS content only", "wrong_content")
        if not is_e164(message.address):
            return Permanent("not a phone number in E.164", "bad_address")
        if not 0 < len(content.text) <= LONGEST_TEXT:
            return Permanent(f"the text has {len(content.text)} characters of 1 to {LONGEST_TEXT}", "too_large")
        return None

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        """One call per message, all of the batch at once."""
        now, price = self._clock.now, self._config.price
        await send_each(
            self._transport,
            batch,
            self._request,
            lambda exchange: verdict_of(exchange, now(), price),
            report,
            self._sheet.timeout_s,
        )

    async def lookup(self, message: Message) -> Accepted | None:
        """The message if Twilio has it, to settle an unknown outcome: same number, text and time.

        None where it has none or did not answer: then nothing is known still. Twilio keeps no id of ours, so an
        equal text to the same number within the life of this delivery is taken for it.
        """
        since = made_at(message.delivery_id) - _CLOCKS_APART_MS
        now = self._clock.now()
        for day in range(since // _DAY_MS, now // _DAY_MS + 1):
            found = await self._listed(message, day, since)
            if found is not None:
                return Accepted(rules.text_of(found.get("sid")), price=price_of(found, self._config.price))
        return None

    async def balance(self) -> float | None:
        """What is left in the account, by the Balance resource."""
        answer = await ask(
            self._transport, Request("GET", self._balance_path, self._headers, b""), self._sheet.timeout_s
        )
        document = rules.json_object(answer.body) if answer is not None else None
        return None if document is None else rules.number_of(document.get("balance"))

    async def try_out(self) -> Sequence[Trial]:
        """The account's balance: it needs the same credentials as sending."""
        request = Request("GET", self._balance_path, self._headers, b"")
        answer, seconds = await try_call(self._transport, request, self._sheet.timeout_s)
        verdict = verdict_of(answer, self._clock.now(), 0.0)
        if not isinstance(verdict, Accepted) or not isinstance(answer, Response):
            return [Trial("credentials", verdict, seconds)]
        told = rules.json_object(answer.body) or {}
        said = f"{rules.text_of(told.get('balance'))} {rules.text_of(told.get('currency'))}"
        return [
            Trial("credentials", Accepted(), seconds),
            Trial("balance", rules.enough(told.get("balance")), 0.0, said),
        ]

    async def start(self) -> None:
        """Nothing to prepare: the credentials are in every call."""

    async def stop(self) -> None:
        await self._transport.close()

    def _request(self, message: Message) -> Request | Permanent:
        content = message.content
        if not isinstance(content, SmsContent):
            return Permanent("Twilio takes SMS content only", "wrong_content")
        form = {"To": message.address, "Body": content.text, **self._sender()}
        form["ValidityPeriod"] = str(min(max(message.ttl_s, 1), LONGEST_VALIDITY_S))
        if self._config.callback_url:
            form["StatusCallback"] = self._callback_of(message)
        try:
            body = urlencode(form).encode("ascii")
        except UnicodeEncodeError:
            return Permanent("a text holds a lone surrogate", "not_text")
        return Request("POST", self._path, self._headers, body)

    def _sender(self) -> dict[str, str]:
        config = self._config
        sender = {"From": config.sender} if config.sender else {}
        service = {"MessagingServiceSid": config.messaging_service_sid} if config.messaging_service_sid else {}
        return {**sender, **service}

    def _callback_of(self, message: Message) -> str:
        ours = f"delivery_id={to_text(message.delivery_id)}&attempt={message.attempt}"
        joint = "&" if "?" in self._config.callback_url else "?"
        return f"{self._config.callback_url}{joint}{ours}{_PATIENCE}"

    async def _listed(self, message: Message, day: int, since: int) -> dict[str, Any] | None:
        sent_on = f"{datetime.fromtimestamp(day * _DAY_MS / 1000, UTC):%Y-%m-%d}"
        asked = {"To": message.address, "DateSent": sent_on, "PageSize": str(_PAGE)}
        if self._config.sender:
            asked["From"] = self._config.sender
        request = Request("GET", f"{self._path}?{urlencode(asked)}", self._headers, b"")
        answers: list[Exchange] = []
        await self._transport.exchange([request], lambda _i, answer, _s: answers.append(answer), self._sheet.timeout_s)
        text = message.content.text if isinstance(message.content, SmsContent) else None
        return next((found for found in _messages(answers[0]) if _is_it(found, text, since)), None)


def _messages(answer: Exchange) -> list[dict[str, Any]]:
    if not isinstance(answer, Response) or answer.status != 200:
        return []
    document = rules.json_object(answer.body)
    return [] if document is None else rules.objects_of(document.get("messages"))


def _is_it(found: dict[str, Any], text: str | None, since: int) -> bool:
    try:
        created = parsedate_to_datetime(rules.text_of(found.get("date_created"))).timestamp() * 1000
    except (ValueError, TypeError, OverflowError):
        return False
    return found.get("body") == text and created >= since and found.get("status") not in ("failed", "canceled")
