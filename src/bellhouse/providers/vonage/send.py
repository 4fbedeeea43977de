"""Sending by Vonage SMS: one form post per message."""

from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import urlencode

from bellhouse.domain.attempt import Accepted, Permanent
from bellhouse.domain.content import SmsContent
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Message, Report, Request, Response, Sheet, Transport, Trial
from bellhouse.providers import rules
from bellhouse.providers.addresses import is_e164
from bellhouse.providers.calls import ask, send_each, try_call
from bellhouse.providers.vonage.config import VonageConfig
from bellhouse.providers.vonage.errors import verdict_of
from bellhouse.providers.vonage.text import is_gsm

LONGEST_TEXT = 1600
"""Characters; the house's own limit for SMS, so that failing over needs no other text."""
LONGEST_CALLBACK = 100
_SHORTEST_TTL_MS = 20_000
_LONGEST_TTL_MS = 604_800_000


class VonageProvider:
    """One API key."""

    def __init__(self, config: VonageConfig, transport: Transport, clock: Clock) -> None:
        """`transport` reaches Vonage's SMS API and is closed by `stop`. Raises ValueError: callback URL too long."""
        if len(config.callback_url) > LONGEST_CALLBACK:
            raise ValueError(f"Vonage takes a callback URL of at most {LONGEST_CALLBACK} characters")
        self._config = config
        self._sheet = config.sheet()
        self._transport = transport
        self._clock = clock
        account = b64encode(f"{config.api_key}:{config.api_secret}".encode()).decode("ascii")
        self._headers = {
            "authorization": f"Basic {account}",
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }

    @property
    def sheet(self) -> Sheet:
        return self._sheet

    def check(self, message: Message) -> Permanent | None:
        """A number in E.164 and a text of 1 to 1,600 characters."""
        content = message.content
        if not isinstance(content, SmsContent):
            return Permanent("Vonage takes SMS content only", "wrong_content")
        if not is_e164(message.address):
            return Permanent("not a phone number in E.164", "bad_address")
        if not 0 < len(content.text) <= LONGEST_TEXT:
            return Permanent(f"the text has {len(content.text)} characters of 1 to {LONGEST_TEXT}", "too_large")
        return None

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        """One call per message, all of the batch at once."""
        now = self._clock.now
        await send_each(
            self._transport,
            batch,
            self._request,
            lambda exchange: verdict_of(exchange, now()),
            report,
            self._sheet.timeout_s,
        )

    async def balance(self) -> float | None:
        """What is left in the account, in euros."""
        request = Request("GET", "/account/get-balance", self._headers, b"")
        answer = await ask(self._transport, request, self._sheet.timeout_s)
        document = rules.json_object(answer.body) if answer is not None else None
        return None if document is None else rules.number_of(document.get("value"))

    async def try_out(self) -> Sequence[Trial]:
        """The account's balance: it needs the same credentials as sending."""
        request = Request("GET", "/account/get-balance", self._headers, b"")
        answer, seconds = await try_call(self._transport, request, self._sheet.timeout_s)
        if not isinstance(answer, Response) or answer.status != 200:
            return [Trial("credentials", verdict_of(answer, self._clock.now()), seconds)]
        value = (rules.json_object(answer.body) or {}).get("value")
        return [
            Trial("credentials", Accepted(), seconds),
            Trial("balance", rules.enough(value), 0.0, f"{rules.text_of(value)} EUR"),
        ]

    async def start(self) -> None:
        """Nothing to prepare: the credentials are in every call."""

    async def stop(self) -> None:
        await self._transport.close()

    def _request(self, message: Message) -> Request | Permanent:
        content = message.content
        if not isinstance(content, SmsContent):
            return Permanent("Vonage takes SMS content only", "wrong_content")
        form = {
            "from": self._config.sender,
            "to": message.address.removeprefix("+"),
            "text": content.text,
            "type": "text" if is_gsm(content.text) else "unicode",
            "ttl": str(min(max(message.ttl_s * 1000, _SHORTEST_TTL_MS), _LONGEST_TTL_MS)),
            "client-ref": f"{message.delivery_id.hex()}-{message.attempt}",
            "status-report-req": "1" if self._config.callback_url else "0",
        }
        if self._config.callback_url:
            form["callback"] = self._config.callback_url
        try:
            body = urlencode(form).encode("ascii")
        except UnicodeEncodeError:
            return Permanent("a text holds a lone surrogate", "not_text")
        return Request("POST", "/sms/json", self._headers, body)
