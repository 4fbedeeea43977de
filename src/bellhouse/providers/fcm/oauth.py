"""The access token of a service account: minted by a signed assertion, kept, refreshed early, once for all callers."""

import asyncio
from urllib.parse import urlencode

import msgspec
from joserfc import jwt
from joserfc.jwk import RSAKey

from bellhouse.domain.attempt import AccountFault, Retry, Unknown
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Exchange, Request, Response, Transport
from bellhouse.providers import rules
from bellhouse.providers.fcm.config import FcmConfig

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EARLY_S = 225.0
"""How long before its end a token is renewed, in seconds, as google-auth does."""
_RENEW_PAUSE_S = 10.0
"""How long a failed early renewal is left alone while the old token still holds."""
_TIMEOUT_S = 10.0


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float = 3600.0


class AccessToken:
    """One token shared by all batches; while one caller fetches, the others wait for the same answer."""

    def __init__(self, config: FcmConfig, transport: Transport, clock: Clock) -> None:
        """`transport` reaches the origin of `config.token_url`. Raises ValueError where the private key is none."""
        self._config = config
        self._transport = transport
        self._clock = clock
        self._key = RSAKey.import_key(config.private_key)
        self._token: str | None = None
        self._good_until = 0.0
        self._renew_from = 0.0
        self._fetching: asyncio.Task[str | Retry | AccountFault] | None = None

    async def get(self) -> str | Retry | AccountFault:
        """The token, or why there is none: then nothing has been sent.

        A token near its end is still returned, and renewed meanwhile.
        """
        now = self._clock.monotonic()
        if self._token is None or now >= self._good_until:
            return await self._fetch()
        if now >= self._renew_from:
            self._renew_from = now + _RENEW_PAUSE_S
            self._start()
        return self._token

    async def replace(self, refused: str) -> str | Retry | AccountFault:
        """A token other than `refused`, which FCM did not take: fetched once, however many callers were refused."""
        if self._token is not None and self._token != refused:
            return self._token
        self._token = None
        return await self._fetch()

    async def close(self) -> None:
        """Stop a renewal under way and close the token transport."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._transport.close()

    async def _fetch(self) -> str | Retry | AccountFault:
        # Shielded: one caller's cancellation must not take the token from the others.
        return await asyncio.shield(self._start())

    def _start(self) -> "asyncio.Task[str | Retry | AccountFault]":
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._exchange())
        return self._fetching

    async def _exchange(self) -> str | Retry | AccountFault:
        answers: list[Exchange] = []
        began = self._clock.monotonic()
        body = urlencode({"grant_type": _GRANT, "assertion": self._assertion()}).encode("ascii")
        request = Request("POST", self._config.token_path, {"content-type": "application/x-www-form-urlencoded"}, body)
        await self._transport.exchange([request], lambda _index, answer, _seconds: answers.append(answer), _TIMEOUT_S)
        granted = _read(answers[0], self._clock.now())
        if not isinstance(granted, _Granted):
            return granted
        self._token = granted.access_token
        self._good_until = began + max(granted.expires_in, 1.0)
        # A token that lives shorter than the margin is renewed half way.
        self._renew_from = max(self._good_until - _EARLY_S, began + granted.expires_in / 2)
        return self._token

    def _assertion(self) -> str:
        """The JWT of RFC 7523 that Google exchanges for an access token, good for an hour."""
        now_s = self._clock.now() // 1000
        claims = {
            "iss": self._config.client_email,
            "aud": self._config.token_url,
            "scope": SCOPE,
            "iat": now_s,
            "exp": now_s + 3600,
        }
        return jwt.encode({"alg": "RS256", "kid": self._config.private_key_id}, claims, self._key)


def _read(answer: Exchange, now: int) -> _Granted | Retry | AccountFault:
    """The grant, or why there is none. Nothing was sent to FCM, so silence here is a plain retry."""
    if not isinstance(answer, Response):
        return Retry(f"no access token: {answer.reason}", answer.code)
    if answer.status == 200:
        try:
            return msgspec.json.decode(answer.body, type=_Granted, strict=False)
        except rules.UNREADABLE:
            return Retry("the token endpoint's answer is unreadable", "200 unreadable")
    if answer.status >= 500 or answer.status == 429:
        verdict = rules.unlisted(answer, now)
        wait = rules.retry_after_ms(answer.headers, now)
        reason = verdict.reason if isinstance(verdict, Retry | Unknown) else "too many token requests"
        return Retry(f"no access token: {reason}", str(answer.status), wait)
    return AccountFault("the service account was refused", f"{answer.status} oauth")
