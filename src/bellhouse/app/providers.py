"""Makes the provider accounts that the settings name: clients, callback readers, breakers and rates."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from email.utils import parseaddr
from typing import Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from bellhouse.adapters.transport.dated import DatedTransport
from bellhouse.adapters.transport.h2 import H2Transport
from bellhouse.adapters.transport.pyreqwest import PyreqwestTransport, TransportConfig
from bellhouse.app.balances import Balances
from bellhouse.app.sections import CHANNELS_OF, ProviderName
from bellhouse.app.settings import Settings
from bellhouse.app.stores import Store
from bellhouse.deliver.accounts import Account, Accounts
from bellhouse.deliver.breaker import Breaker, BreakerSettings
from bellhouse.deliver.cap import CappedLimiter
from bellhouse.deliver.levers import ReadPulled, nothing_pulled
from bellhouse.deliver.limits import Bucket, Limiter
from bellhouse.deliver.silence import SilenceSettings
from bellhouse.domain.words import CHANNELS, Channel
from bellhouse.observability.skew import Skew
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import CallbackReader, Provider, Transport
from bellhouse.ports.store.providers import BreakerStore
from bellhouse.ports.telemetry import Lease, Logbook
from bellhouse.providers.fcm.callback import FcmReceipts
from bellhouse.providers.fcm.config import FcmConfig
from bellhouse.providers.fcm.send import FcmProvider
from bellhouse.providers.in_app import InAppProvider
from bellhouse.providers.log.send import LogConfig, LogProvider
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

_Config = TypeVar("_Config", bound=msgspec.Struct)

STAYS_HERE: Final = frozenset({"in_app", "log"})
"""Providers through which nothing leaves this machine: they are not under `SEND_RATE_LIMIT`."""


class Making(msgspec.Struct, frozen=True):
    """What provider clients are made from."""

    settings: Settings
    public_url: str
    receipt_secret: bytes
    """Signs the receipts of device apps where the settings name no secret of their own."""
    store: Store
    clock: Clock
    skew: Skew | None = None
    """Learns from the Date of providers' answers how far our clock is off; None where the store tells the time."""

    def callback_url(self, provider: str) -> str:
        """Where a provider reports to."""
        return f"{self.public_url}/callbacks/{provider}"

    def ca(self) -> bytes | None:
        """The extra certificate authority."""
        return self.settings.ca.encode() if self.settings.ca else None

    def transport(self, base_url: str, in_flight: int = 1_000) -> Transport:
        """A client for one base URL."""
        plain = PyreqwestTransport(TransportConfig(base_url, in_flight=in_flight, ca_pem=self.ca()))
        return plain if self.skew is None else DatedTransport(plain, base_url, self.clock, self.skew.add)


def public_url(settings: Settings) -> str:
    """Where providers reach the API."""
    return settings.public_url or f"http://{settings.host}:{settings.port}"


class Clients:
    """The clients of a process's providers: opened beside its work, since one that does not answer must not keep the
    others from it, and closed after it. Service."""

    def __init__(self, providers: Sequence[Provider], name: str = "providers") -> None:
        self.name = name
        self._providers = providers
        self._drained = asyncio.Event()

    async def start(self) -> None:
        """Nothing to wait for."""

    async def run(self) -> None:
        await asyncio.gather(*(provider.start() for provider in self._providers))
        await self._drained.wait()

    def drain(self) -> None:
        self._drained.set()

    async def stop(self) -> None:
        await asyncio.gather(*(provider.stop() for provider in self._providers))


def used(settings: Settings, channels: Sequence[Channel] = CHANNELS) -> dict[ProviderName, tuple[Channel, ...]]:
    """The providers that are in use for these channels, each with those that it serves."""
    serving: dict[ProviderName, tuple[Channel, ...]] = {}
    for channel in channels:
        for name in settings.providers_of(channel):
            serving[name] = (*serving.get(name, ()), channel)
    return serving


def make_accounts(
    making: Making,
    breakers: BreakerStore,
    logbook: Logbook,
    owner: str,
    part: float,
    channels: Sequence[Channel] = CHANNELS,
    pulled: ReadPulled = nothing_pulled,
) -> tuple[Accounts, Sequence[Provider]]:
    """The accounts of a process for these channels with their clients; `part` is its share of every configured rate."""
    accounts: dict[ProviderName, Account] = {}
    limit, now = making.settings.send_rate_limit, making.clock.monotonic()
    cap = None if limit is None else Bucket(limit * part, now)
    for name, served in used(making.settings, channels).items():
        provider = _MAKERS[name](making)
        states = {c: Breaker(name, c, breaker_settings(making.settings), owner) for c in served}
        rate = getattr(getattr(making.settings.providers, name), "rate_per_s", None) or provider.sheet.rate_per_second
        limiter = Limiter(rate, now, part)
        if cap is not None and name not in STAYS_HERE:
            limiter = CappedLimiter(rate, now, part, cap)
        accounts[name] = Account(provider, states, limiter, making.clock)
    order = {c: [accounts[name] for name in making.settings.providers_of(c)] for c in channels}
    made = Accounts(order, breakers, making.clock, logbook, pulled)
    return made, [account.provider for account in accounts.values()]


def balances_of(
    settings: Settings, providers: Sequence[Provider], lease: Lease, clock: Clock, logbook: Logbook
) -> Balances:
    """The service that asks these providers what money is left."""
    low = {name: getattr(getattr(settings.providers, name), "balance_low", None) for name in used(settings)}
    named = {str(name): amount for name, amount in low.items() if amount is not None}
    return Balances(providers, named, settings.balance_every_s, lease, clock, logbook)


def confirming(making: Making) -> frozenset[str]:
    """The providers in use that confirm what they have taken."""
    return frozenset(name for name in used(making.settings) if _MAKERS[name](making).sheet.confirms)


def silence_settings(settings: Settings) -> SilenceSettings:
    """When a provider's silence is noticed."""
    return SilenceSettings(settings.breaker.silent_accepted, round(settings.breaker.silent_s * 1000))


def make_provider(making: Making, name: ProviderName) -> Provider:
    """A client of a configured provider that nobody else uses; it opens nothing before it is used."""
    return _MAKERS[name](making)


def breaker_settings(settings: Settings) -> BreakerSettings:
    """The breakers' part of the settings."""
    given = settings.breaker
    return BreakerSettings(failures=given.failures, share=given.share, open_ms=given.open_ms)


def make_readers(making: Making) -> Mapping[str, CallbackReader]:
    """The readers of every provider in use that reports back."""
    names = used(making.settings)
    readers: dict[str, CallbackReader] = {}
    if "fcm" in names:
        readers["fcm"] = FcmReceipts(fcm_config(making))
    if "sendgrid" in names and making.settings.providers.sendgrid.webhook_public_key:
        readers["sendgrid"] = SendGridEvents(_sendgrid_config(making))
    if "smtp" in names and making.settings.providers.smtp.dsn_secret:
        readers["smtp"] = SmtpReports(_smtp_config(making))
    if "twilio" in names:
        readers["twilio"] = TwilioCallbacks(_twilio_config(making))
    if "vonage" in names and making.settings.providers.vonage.signature_secret:
        readers["vonage"] = VonageCallbacks(_vonage_config(making))
    return readers


# --- one maker a provider ---


def fcm_config(making: Making) -> FcmConfig:
    """FCM's account; device apps' receipts are signed by the settings' secret or one of this installation."""
    given = making.settings.providers.fcm
    assert given.service_account is not None
    secret = given.receipt_secret.get_secret_value().encode() if given.receipt_secret else making.receipt_secret
    config = FcmConfig.from_service_account(given.service_account.get_secret_value().encode(), secret)
    return _with(config, timeout_s=given.timeout_s)


def _fcm(making: Making) -> Provider:
    given = making.settings.providers.fcm
    config = fcm_config(making)
    base: Transport = (
        H2Transport(given.base_url, making.clock, ca_pem=making.ca(), connections=given.connections)
        if given.base_url.startswith("https:")
        else making.transport(given.base_url)
    )
    return FcmProvider(config, base, making.transport(_origin(config.token_url), 4), making.clock)


def _sendgrid_config(making: Making) -> SendGridConfig:
    given = making.settings.providers.sendgrid
    assert given.api_key is not None
    name, email = parseaddr(given.sender)
    config = SendGridConfig(
        given.api_key.get_secret_value(), email, name, verification_key=given.webhook_public_key or ""
    )
    return _with(config, price=given.price, timeout_s=given.timeout_s)


def _sendgrid(making: Making) -> Provider:
    transport = making.transport(making.settings.providers.sendgrid.base_url)
    return SendGridProvider(_sendgrid_config(making), transport, making.clock)


def _smtp_config(making: Making) -> SmtpConfig:
    given = making.settings.providers.smtp
    assert given.host is not None
    name, email = parseaddr(given.sender)
    config = SmtpConfig(
        given.host,
        email,
        given.bounce_domain,
        given.port,
        "tls" if given.tls == "implicit" else given.tls,
        given.username or "",
        given.password.get_secret_value() if given.password else "",
        making.settings.ca or "",
        name,
        dsn_secret=given.dsn_secret.get_secret_value() if given.dsn_secret else "",
        connections=given.connections,
        command_timeout_s=min(given.timeout_s, 300.0),
        dot_timeout_s=given.timeout_s,
    )
    return _with(config, price=given.price)


def _smtp(making: Making) -> Provider:
    return SmtpProvider(_smtp_config(making), making.clock)


def _twilio_config(making: Making) -> TwilioConfig:
    given = making.settings.providers.twilio
    assert given.account_sid is not None
    assert given.auth_token is not None
    sender = given.sender or ""
    service = sender.startswith("MG")
    config = TwilioConfig(
        given.account_sid,
        given.auth_token.get_secret_value(),
        "" if service else sender,
        sender if service else "",
        callback_url=making.callback_url("twilio"),
    )
    return _with(config, price=given.price, timeout_s=given.timeout_s)


def _twilio(making: Making) -> Provider:
    transport = making.transport(making.settings.providers.twilio.base_url)
    return TwilioProvider(_twilio_config(making), transport, making.clock)


def _vonage_config(making: Making) -> VonageConfig:
    given = making.settings.providers.vonage
    assert given.api_key is not None
    assert given.api_secret is not None
    secret = given.signature_secret.get_secret_value() if given.signature_secret else ""
    config = VonageConfig(
        given.api_key,
        given.api_secret.get_secret_value(),
        given.sender or "",
        secret,
        callback_url=making.callback_url("vonage") if secret else "",
    )
    return _with(config, price=given.price, timeout_s=given.timeout_s)


def _vonage(making: Making) -> Provider:
    transport = making.transport(making.settings.providers.vonage.base_url)
    return VonageProvider(_vonage_config(making), transport, making.clock)


def _in_app(making: Making) -> Provider:
    return InAppProvider(making.store.deliver, making.clock)


def _log(_: Making) -> Provider:
    return LogProvider(LogConfig(channels=CHANNELS_OF["log"]))


_MAKERS: Mapping[ProviderName, Callable[[Making], Provider]] = {
    "fcm": _fcm,
    "sendgrid": _sendgrid,
    "smtp": _smtp,
    "twilio": _twilio,
    "vonage": _vonage,
    "in_app": _in_app,
    "log": _log,
}


def _with(config: _Config, **given: float | None) -> _Config:
    """The config with those values that the settings name."""
    return msgspec.structs.replace(config, **{name: value for name, value in given.items() if value is not None})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))
