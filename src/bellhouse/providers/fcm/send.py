"""Sending by FCM HTTP v1: one call per message, all of a batch at once."""

from collections.abc import Callable, Sequence

from bellhouse.domain.attempt import Accepted, AccountFault, Permanent, TokenInvalid, Verdict
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Exchange, Message, Report, Request, Sheet, Transport, Trial
from bellhouse.providers.calls import call_each, try_call
from bellhouse.providers.fcm.config import FcmConfig
from bellhouse.providers.fcm.errors import MISMATCH, STALE_CREDENTIALS, verdict_of
from bellhouse.providers.fcm.message import body_encoder, refusal
from bellhouse.providers.fcm.oauth import AccessToken
from bellhouse.security.signatures import ReceiptKey

_SECOND_LOOK = frozenset({STALE_CREDENTIALS, MISMATCH})
_TRIED = b'{"validate_only":true,"message":{"topic":"bellhouse-test","notification":{"title":"Test","body":"Test"}}}'
_Held = list[tuple[int, AccountFault | TokenInvalid, float]]


class FcmProvider:
    """One Firebase project."""

    def __init__(self, config: FcmConfig, transport: Transport, token_transport: Transport, clock: Clock) -> None:
        """`transport` reaches FCM, `token_transport` the origin of `config.token_url`; both are closed by `stop`.

        Raises ValueError where the private key or the receipt secret cannot be used.
        """
        self._sheet = config.sheet()
        self._path = f"/v1/projects/{config.project_id}/messages:send"
        self._transport = transport
        self._clock = clock
        self._token = AccessToken(config, token_transport, clock)
        receipt = ReceiptKey(config.receipt_secret).token if config.receipt_secret else None
        self._body_of = body_encoder(receipt)
        self._proven = False
        """Whether this project has ever taken a message: only then is a sender mismatch a token's fault."""

    @property
    def sheet(self) -> Sheet:
        return self._sheet

    def check(self, message: Message) -> Permanent | None:
        """A token and a payload that FCM can take (4096 bytes of keys and values, no reserved data key)."""
        return refusal(message)

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        """Send all; and once more those that a stale access token kept out, since a 401 was not processed."""
        token = await self._token.get()
        if not isinstance(token, str):
            for index in range(len(batch)):
                report(index, token, 0.0)
            return
        held = await self._round(batch, range(len(batch)), token, report)
        stale = {index: seconds for index, verdict, seconds in held if verdict.code == STALE_CREDENTIALS}
        if stale:
            held = [entry for entry in held if entry[0] not in stale]
            held += await self._again(batch, stale, token, report)
        for index, verdict, seconds in held:
            report(index, self._judged(verdict), seconds)

    async def try_out(self) -> Sequence[Trial]:
        """A fresh access token, then a message to a topic that FCM validates and sends to nobody."""
        began = self._clock.monotonic()
        token = await self._token.get()
        fetched = self._clock.monotonic() - began
        if not isinstance(token, str):
            return [Trial("credentials", token, fetched)]
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        request = Request("POST", self._path, headers, _TRIED)
        answer, seconds = await try_call(self._transport, request, self._sheet.timeout_s)
        verdict = verdict_of(answer, self._clock.now())
        return [Trial("credentials", Accepted(), fetched), Trial("dry_call", verdict, seconds)]

    async def start(self) -> None:
        """Fetch the access token, so that the first batch need not wait. A failure shows at the first `send`."""
        await self._token.get()

    async def stop(self) -> None:
        await self._token.close()
        await self._transport.close()

    async def _again(self, batch: Sequence[Message], stale: dict[int, float], refused: str, report: Report) -> _Held:
        token = await self._token.replace(refused)
        if isinstance(token, str):
            return await self._round(
                batch,
                list(stale),
                token,
                lambda index, verdict, seconds: report(index, verdict, stale[index] + seconds),
            )
        for index, seconds in stale.items():
            report(index, token, seconds)
        return []

    async def _round(self, batch: Sequence[Message], indexes: Sequence[int], token: str, report: Report) -> _Held:
        """One call per message. Reports what is settled and returns what needs a second look."""
        held: _Held = []
        now = self._clock.now

        def answered(index: int, exchange: Exchange, seconds: float) -> None:
            verdict = verdict_of(exchange, now())
            if isinstance(verdict, Accepted):
                self._proven = True
                report(index, verdict, seconds)
            elif isinstance(verdict, AccountFault | TokenInvalid) and verdict.code in _SECOND_LOOK:
                held.append((index, verdict, seconds))
            else:
                report(index, verdict, seconds)

        await call_each(
            self._transport, batch, indexes, self._request_of(token), answered, report, self._sheet.timeout_s
        )
        return held

    def _request_of(self, token: str) -> Callable[[Message], Request | Permanent]:
        """How a message of this round is written; the headers are one value for all of them."""
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        now_s = self._clock.now() // 1000

        def request_of(message: Message) -> Request | Permanent:
            body = self._body_of(message, now_s)
            return body if isinstance(body, Permanent) else Request("POST", self._path, headers, body)

        return request_of

    def _judged(self, verdict: AccountFault | TokenInvalid) -> Verdict:
        """A mismatched sender is the token's fault if other tokens work, else the project's."""
        if isinstance(verdict, TokenInvalid) and not self._proven:
            return AccountFault("the token belongs to another sender, and so far no token has worked", verdict.code)
        return verdict
