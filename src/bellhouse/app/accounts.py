"""Providers made from the settings: each with its transport, its callbacks' reader, its breakers and its pace."""

import asyncio
from collections.abc import Mapping, Sequence
from email.utils import parseaddr
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from bellhouse.adapters.transport.h2 import H2Transport
from bellhouse.adapters.transport.pyreqwest import PyreqwestTransport, TransportConfig
from bellhouse.app.folder import CannotServe
from bellhouse.app.sections import CHANNELS_OF, ProviderName
from bellhouse.app.settings import Settings
from bellhouse.deliver.accounts import Account, Accounts
from bellhouse.deliver.breaker import Breaker, BreakerSettings
from bellhouse.deliver.cap import CappedLimiter
from bellhouse.deliver.limits import Bucket, Limiter
from bellhouse.domain.words import CHANNELS, Channel
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import CallbackReader, Provider, Transport
from bellhouse.ports.store import BreakerStore, DeliverStore
from bellhouse.ports.telemetry import Logbook
from bellhouse.providers.fcm.callback import FcmReceipts
from bellhouse.providers.fcm.config import FcmConfig
from bellhouse.providers.fcm.send import FcmProvider
from bellhouse.providers.in_app import InAppProvider
from bellhouse.providers.log.send import LogProvider
from bellhouse.providers.sendgrid.callback import SendGridEvents
from bellhouse.providers.sendgrid.config import SendGridConfig
from bellhouse.providers.sendgrid.send import SendGridProvider
from bellhouse.providers.smtp.callback import SmtpReports
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.smtp.send import SmtpProvider
from bellhouse.providers.twilio.callback import TwilioCallbacks
from bellhouse.providers.twilio.config import TwilioConfig
from bellhouse.providers.twilio.send import TwilioProvider
from bellhouse.providers.vonage.callback import VonageCallbacks
from bellhouse.providers.vonage.config import VonageConfig
from bellhouse.providers.vonage.send import VonageProvider

Config = TypeVar("Config", bound=msgspec.Struct)

PART_OF: Final = {"api": 0.2, "bulk": 0.8, "all": 1.0}
"""What each role may take of an account's rate: critical work has a fifth for itself in a process of its own."""
_UNLIMITED: Final = frozenset({"in_app", "log"})
"""What leaves this machine nowhere is not under `SEND_RATE_LIMIT`."""


class Outside:
    """The providers of one process: a service that opens them beside its work and closes them after it."""

    name = "providers"

    def __init__(
        self,
        providers: Mapping[ProviderName, Provider],
        readers: Mapping[str, CallbackReader],
    ) -> None:
        self.providers = providers
        self.readers = readers
        """Those that have what it takes to verify their callbacks."""
        self._drained = asyncio.Event()

    @property
    def channels(self) -> dict[str, tuple[Channel, ...]]:
        """Which channels each provider serves."""
        return {name: CHANNELS_OF[name] for name in self.providers}

    async def start(self) -> None:
        """Nothing: a provider that does not answer must not keep the others from working."""

    async def run(self) -> None:
        await asyncio.gather(*(provider.start() for provider in self.providers.values()))
        await self._drained.wait()

    def drain(self) -> None:
        self._drained.set()

    async def stop(self) -> None:
        await asyncio.gather(*(provider.stop() for provider in self.providers.values()))


def outside(settings: Settings, store: DeliverStore, clock: Clock, receipt_secret: bytes) -> Outside:
    """Every provider that a channel may use. Raises CannotServe for credentials that cannot be used.

    `receipt_secret` signs what device apps hand back where the settings name no secret of their own; empty for none.
    """
    wanted = {name for channel in CHANNELS for name in settings.providers_of(channel)}
    providers: dict[ProviderName, Provider] = {}
    readers: dict[str, CallbackReader] = {}
    for name in sorted(wanted):
        try:
            provider, reader = _made(name, settings, store, clock, receipt_secret)
        except (ValueError, msgspec.MsgspecError) as error:
            raise CannotServe(f"providers.{name} cannot be used: {error}") from None
        providers[name] = provider
        if reader is not None:
            readers[name] = reader
    return Outside(providers, readers)


def accounts(
    settings: Settings,
    role: str,
    providers: Mapping[ProviderName, Provider],
    store: BreakerStore,
    clock: Clock,
    logbook: Logbook,
    owner: str,
) -> Accounts:
    """The accounts of a process with their breakers and paces; `owner` is a name that no other process has."""
    part, now = PART_OF[role], clock.monotonic()
    limit = settings.send_rate_limit
    cap = Bucket(limit * part, now) if limit is not None else None
    rules = BreakerSettings(
        failures=settings.breaker.failures, share=settings.breaker.share, open_ms=settings.breaker.open_ms
    )

    def account(name: ProviderName, provider: Provider) -> Account:
        rate = provider.sheet.rate_per_second
        free = cap is None or name in _UNLIMITED
        limiter = Limiter(rate, now, part) if free or cap is None else CappedLimiter(rate, now, part, cap)
        breakers = {channel: Breaker(name, channel, rules, owner) for channel in CHANNELS_OF[name]}
        return Account(provider, breakers, limiter, clock)

    known = {name: account(name, provider) for name, provider in providers.items()}
    order: dict[Channel, Sequence[Account]] = {
        channel: [known[name] for name in settings.providers_of(channel)] for channel in CHANNELS
    }
    return Accounts(order, store, clock, logbook)


def _made(
    name: ProviderName, settings: Settings, store: DeliverStore, clock: Clock, receipt_secret: bytes
) -> tuple[Provider, CallbackReader | None]:
    """One provider, with the reader of its callbacks where it can verify them."""
    match name:
        case "fcm":
            return _fcm(settings, clock, receipt_secret)
        case "sendgrid":
            return _sendgrid(settings, clock)
        case "smtp":
            return _smtp(settings, clock)
        case "twilio":
            return _twilio(settings, clock)
        case "vonage":
            return _vonage(settings, clock)
        case "in_app":
            return InAppProvider(store, clock), None
        case "log":
            return LogProvider(), None


def _fcm(settings: Settings, clock: Clock, receipt_secret: bytes) -> tuple[Provider, CallbackReader | None]:
    table = settings.providers.fcm
    secret = _text(table.receipt_secret).encode() or receipt_secret
    config = FcmConfig.from_service_account(_text(table.service_account).encode(), secret)
    config = _with(config, timeout_s=table.timeout_s, rate_per_second=table.rate_per_s)
    token = urlsplit(config.token_url)
    token_transport = _http(f"{token.scheme}://{token.netloc}", settings)
    calls: Transport = _http(table.base_url, settings)
    if table.base_url.startswith("https://"):
        calls = H2Transport(table.base_url, clock, ca_pem=_ca(settings), connections=table.connections)
    return FcmProvider(config, calls, token_transport, clock), FcmReceipts(config) if secret else None


def _sendgrid(settings: Settings, clock: Clock) -> tuple[Provider, CallbackReader | None]:
    table = settings.providers.sendgrid
    sender, address = parseaddr(table.sender)
    config = SendGridConfig(
        api_key=_text(table.api_key),
        from_email=address,
        from_name=sender,
        verification_key=table.webhook_public_key or "",
    )
    config = _with(config, timeout_s=table.timeout_s, rate_per_second=table.rate_per_s, price=table.price)
    provider = SendGridProvider(config, _http(table.base_url, settings), clock)
    return provider, SendGridEvents(config) if config.verification_key else None


def _smtp(settings: Settings, clock: Clock) -> tuple[Provider, CallbackReader | None]:
    table = settings.providers.smtp
    sender, address = parseaddr(table.sender)
    config = SmtpConfig(
        host=table.host or "",
        port=table.port,
        security="tls" if table.tls == "implicit" else table.tls,
        username=table.username or "",
        password=_text(table.password),
        ca_pem=settings.ca or "",
        from_email=address,
        from_name=sender,
        domain=table.bounce_domain,
        dsn_secret=_text(table.dsn_secret),
        connections=table.connections,
        dot_timeout_s=table.timeout_s,
        command_timeout_s=min(300.0, table.timeout_s),
    )
    config = _with(config, rate_per_second=table.rate_per_s, price=table.price)
    return SmtpProvider(config, clock), SmtpReports(config) if config.dsn_secret else None


def _twilio(settings: Settings, clock: Clock) -> tuple[Provider, CallbackReader | None]:
    table = settings.providers.twilio
    sender = table.sender or ""
    service = sender.startswith("MG")
    config = TwilioConfig(
        account_sid=table.account_sid or "",
        auth_token=_text(table.auth_token),
        sender="" if service else sender,
        messaging_service_sid=sender if service else "",
        callback_url=f"{settings.public_url}/callbacks/twilio",
    )
    config = _with(config, timeout_s=table.timeout_s, rate_per_second=table.rate_per_s, price=table.price)
    return TwilioProvider(config, _http(table.base_url, settings), clock), TwilioCallbacks(config)


def _vonage(settings: Settings, clock: Clock) -> tuple[Provider, CallbackReader | None]:
    table = settings.providers.vonage
    secret = _text(table.signature_secret)
    config = VonageConfig(
        api_key=table.api_key or "",
        api_secret=_text(table.api_secret),
        sender=table.sender or "",
        signature_secret=secret,
        callback_url=f"{settings.public_url}/callbacks/vonage" if secret else "",
    )
    config = _with(config, timeout_s=table.timeout_s, rate_per_second=table.rate_per_s, price=table.price)
    return VonageProvider(config, _http(table.base_url, settings), clock), VonageCallbacks(config) if secret else None


def _with(config: Config, **changes: Any) -> Config:
    """The config with those changes that are not None: the others keep what the provider's own page says."""
    return msgspec.structs.replace(config, **{name: value for name, value in changes.items() if value is not None})


def _http(base_url: str, settings: Settings) -> PyreqwestTransport:
    return PyreqwestTransport(TransportConfig(base_url, ca_pem=_ca(settings)))


def _ca(settings: Settings) -> bytes | None:
    return settings.ca.encode() if settings.ca else None


def _text(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
