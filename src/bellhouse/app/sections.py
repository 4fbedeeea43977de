"""Every table of settings, each setting with its default, unit, bounds and meaning."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from bellhouse.domain.words import CHANNELS, Channel

PROVIDERS: Final = ("fcm", "sendgrid", "smtp", "twilio", "vonage", "in_app", "log")
ProviderName = Literal["fcm", "sendgrid", "smtp", "twilio", "vonage", "in_app", "log"]
CHANNELS_OF: Final[dict[ProviderName, tuple[Channel, ...]]] = {
    "fcm": ("push",),
    "sendgrid": ("email",),
    "smtp": ("email",),
    "twilio": ("sms",),
    "vonage": ("sms",),
    "in_app": ("in_app",),
    "log": ("push", "email", "sms", "in_app", "chat"),
}
"""Which channels each provider can serve."""


def setting(default: Any, unit: str, description: str, **bounds: Any) -> Any:
    """A field: its default, the unit a person writes it in, what it does, and pydantic's bounds (`ge`, `le`, ...).

    What is unset by default has `examples`: the default file shows the first.
    """
    return Field(default=default, description=description, json_schema_extra={"unit": unit}, **bounds)


def _base_url(value: str | None) -> str | None:
    if value is None:
        return None
    if not value.startswith(("http://", "https://")) or " " in value or len(value) < len("http://x"):
        raise ValueError("must be an http:// or https:// URL")
    return value.rstrip("/")


def from_file(value: object) -> object:
    """A secret given as `@/path` is read from that file, so that it need not stand in the settings."""
    if isinstance(value, str) and value.startswith("@"):
        try:
            return Path(value[1:]).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"cannot be read from {value[1:]}: {error.strerror}") from None
    return value


Url = Annotated[str, AfterValidator(_base_url)]
Secret = Annotated[SecretStr, BeforeValidator(from_file)]


Pem = Annotated[str, BeforeValidator(from_file)]


class Contradiction(msgspec.Struct, frozen=True):
    """A setting that is right by itself and cannot be together with others."""

    setting: str
    """Its name within its table."""
    reason: str
    remedy: str = ""
    beside: tuple[str, ...] = ()
    """The others of the table without which nothing would be wrong."""


class Section(BaseModel):
    """A table of settings; a name that it does not have is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def contradictions(self) -> Iterator[Contradiction]:
        """What cannot be together, in this table alone."""
        yield from ()


class Account(Section):
    """What every provider's table has."""

    enabled: bool = setting(False, "", "Whether this provider is used")
    rate_per_s: float | None = setting(
        None,
        "messages/s",
        "The most that is sent through this provider; unset takes its documented limit",
        gt=0,
        examples=[500.0],
    )
    timeout_s: float = setting(10.0, "s", "How long a call may take before its outcome is unknown", gt=0, le=900)


class PaidAccount(Account):
    """What the table of a provider has that takes money for each message."""

    price: float | None = setting(
        None,
        "the account's currency",
        "What one accepted message costs, where the provider's answer does not say",
        ge=0,
        examples=[0.01],
    )


class PrepaidAccount(PaidAccount):
    """What the table of a provider has whose account can be empty."""

    balance_low: float | None = setting(
        None,
        "the account's currency",
        "Below what balance a person is told; unset: nobody is",
        ge=0,
        examples=[50.0],
    )


class Fcm(Account):
    """Firebase Cloud Messaging (push)."""

    service_account: Secret | None = setting(
        None,
        "JSON",
        "The service account's key file, as JSON or as `@/path/to/key.json`",
        examples=["@/run/secrets/fcm.json"],
    )
    base_url: Url = setting("https://fcm.googleapis.com", "URL", "Where the HTTP v1 API is")
    receipt_secret: Secret | None = setting(
        None,
        "16 to 64 bytes",
        "Signs the receipts that the device app hands back; without it push is never confirmed",
        examples=["@/run/secrets/fcm-receipts"],
    )
    connections: int = setting(4, "connections", "The most HTTP/2 connections, for each process", ge=1, le=64)


class Sendgrid(PaidAccount):
    """SendGrid v3 (email)."""

    api_key: Secret | None = setting(
        None, "", "An API key with the right to send mail", examples=["@/run/secrets/sendgrid-key"]
    )
    base_url: Url = setting("https://api.sendgrid.com", "URL", "Where the v3 API is; the EU has its own")
    sender: str = setting("Bellhouse <no-reply@bellhouse.example>", "address", "The From of every mail")
    webhook_public_key: str | None = setting(
        None,
        "base64",
        "Verifies the Event Webhook; without it mail through SendGrid is never confirmed",
        examples=["MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE..."],
    )


class Smtp(PaidAccount):
    """Any SMTP relay (email)."""

    timeout_s: float = setting(
        600.0, "s", "How long the relay may take for its last word; a shorter wait makes duplicates", gt=0, le=900
    )
    host: str | None = setting(None, "host", "The relay's name", examples=["smtp.example.com"])
    port: int = setting(587, "port", "The relay's port", ge=1, le=65535)
    username: str | None = setting(None, "", "The user name, where the relay asks for one", examples=["bellhouse"])
    password: Secret | None = setting(None, "", "The user's password", examples=["@/run/secrets/smtp-password"])
    tls: Literal["starttls", "implicit", "none"] = setting(
        "starttls", "", "How the connection is sealed: `starttls`, `implicit` (port 465), or `none` on a trusted host"
    )
    sender: str = setting("Bellhouse <no-reply@bellhouse.example>", "address", "The From of every mail")
    bounce_domain: str = setting(
        "bellhouse.example", "domain", "The domain of Message-IDs and of the envelope senders to which bounces return"
    )
    dsn_secret: Secret | None = setting(
        None,
        "",
        "The bearer token with which the mail server hands delivery reports to /callbacks/smtp",
        examples=["@/run/secrets/smtp-dsn"],
    )
    connections: int = setting(4, "connections", "Pooled connections to the relay, for each process", ge=1, le=256)


class Twilio(PrepaidAccount):
    """Twilio Messages (SMS)."""

    account_sid: str | None = setting(None, "", "The account, `AC...`", examples=["AC0123456789abcdef0123456789abcdef"])
    auth_token: Secret | None = setting(
        None, "", "The account's token; it signs the callbacks too", examples=["@/run/secrets/twilio-token"]
    )
    base_url: Url = setting("https://api.twilio.com", "URL", "Where the API is")
    sender: str | None = setting(
        None, "E.164 or MG...", "The number, or the messaging service, that sends", examples=["+15005550006"]
    )


class Vonage(PrepaidAccount):
    """Vonage SMS API (SMS)."""

    api_key: str | None = setting(None, "", "The account's key", examples=["0123abcd"])
    api_secret: Secret | None = setting(None, "", "The account's secret", examples=["@/run/secrets/vonage-secret"])
    base_url: Url = setting("https://rest.nexmo.com", "URL", "Where the API is")
    sender: str | None = setting(None, "number or name", "Who the message comes from", examples=["Bellhouse"])
    signature_secret: Secret | None = setting(
        None,
        "",
        "Verifies delivery receipts (SHA-256 HMAC); without it SMS through Vonage is never confirmed",
        examples=["@/run/secrets/vonage-signature"],
    )


class InApp(Section):
    """The inbox that Bellhouse itself keeps (in-app)."""

    enabled: bool = setting(True, "", "Whether in-app messages are stored for the recipient's inbox")


class LogOnly(Section):
    """A provider that accepts everything and sends nothing, for trials and measurements."""

    enabled: bool = setting(False, "", "Whether it may stand in for every channel")


class Providers(Section):
    """One table for each provider."""

    fcm: Fcm = Fcm()
    sendgrid: Sendgrid = Sendgrid()
    smtp: Smtp = Smtp()
    twilio: Twilio = Twilio()
    vonage: Vonage = Vonage()
    in_app: InApp = InApp()
    log: LogOnly = LogOnly()


class Order(Section):
    """Which provider of a channel is tried first, and which take over when it fails."""

    push: tuple[ProviderName, ...] = setting(("fcm", "log"), "providers", "The order for push")
    email: tuple[ProviderName, ...] = setting(("sendgrid", "smtp", "log"), "providers", "The order for email")
    sms: tuple[ProviderName, ...] = setting(("twilio", "vonage", "log"), "providers", "The order for SMS")
    in_app: tuple[ProviderName, ...] = setting(("in_app", "log"), "providers", "The order for in-app")
    chat: tuple[ProviderName, ...] = setting(("log",), "providers", "The order for chat")

    def contradictions(self) -> Iterator[Contradiction]:
        """Providers in the order of a channel that they do not serve."""
        for channel in CHANNELS:
            for name in getattr(self, channel):
                if channel not in CHANNELS_OF[name]:
                    yield Contradiction(channel, f"{name} does not serve {channel}", "Take it out of the list")


class Retry(Section):
    """When a failed delivery is tried again."""

    base_ms: int = setting(1_000, "ms", "The longest wait after the first failure; it doubles with each", ge=1)
    cap_ms: int = setting(300_000, "ms", "The longest wait there is", ge=1)
    max_attempts: int = setting(3, "attempts", "Failed attempts after which a delivery is a dead letter", ge=1, le=20)


class Breaker(Section):
    """When a provider that fails is left alone, and for how long."""

    failures: int = setting(5, "failures", "Consecutive failures of the provider that open its breaker", ge=1)
    share: float = setting(
        0.2, "share", "At volume, the share of the recent calls that must have failed as well", gt=0, le=1
    )
    open_ms: int = setting(30_000, "ms", "How long it stays open before one probe is let through", ge=1)
    silent_s: float = setting(
        900.0,
        "s",
        "How long a provider that used to confirm may accept messages without confirming any before its breaker opens, "
        "where another one can take over; 0 never opens it for that",
        ge=0,
    )
    silent_accepted: int = setting(
        20, "messages", "How many it must have accepted since its last callback: fewer may all be late", ge=1
    )


class Probes(Section):
    """Synthetic probes: notifications of Bellhouse's own, to the team itself, through the whole platform."""

    enabled: bool = setting(False, "", "Whether every channel is probed again and again; `bellhouse smoke` always can")
    every_s: float = setting(300.0, "s", "How often", ge=1, le=86_400)
    within_s: float = setting(60.0, "s", "How long a probe may take to be confirmed", ge=1, le=110)
    push: str | None = setting(None, "token", "A device of the team", examples=["fcm-registration-token"])
    email: str | None = setting(None, "address", "A mailbox of the team", examples=["probe@example.com"])
    sms: str | None = setting(None, "E.164", "A phone of the team", examples=["+15005550006"])
    in_app: bool = setting(True, "", "Whether the inbox is probed; it needs no address")


class Limits(Section):
    """What a caller may send; whoever reaches a limit is told which."""

    body_bytes: int = setting(1_048_576, "bytes", "The largest body of a single request", ge=1_024)
    batch_body_bytes: int = setting(33_554_432, "bytes", "The largest body of a batch", ge=1_024)
    batch_items: int = setting(1_000, "items", "The most notifications of a batch", ge=1, le=10_000)
    data_bytes: int = setting(16_384, "bytes", "The largest `data` of a notification, as compact JSON", ge=2)
    data_depth: int = setting(8, "levels", "How deep `data` may be nested", ge=1, le=64)
    horizon_days: int = setting(400, "days", "How far ahead `send_at` and `expires_at` may lie", ge=1)
    tenant_rate_per_s: float = setting(
        100_000, "notifications/s", "What a tenant may send in the long run, at each process that serves the API", gt=0
    )
    tenant_burst: int = setting(200_000, "notifications", "What a tenant may send at once, at each of them", ge=1)
    recipient_per_minute: int = setting(
        60,
        "deliveries/min",
        "What a recipient gets over all channels; more waits for a later minute. Critical and in-app do not count; "
        "0 sets no limit",
        ge=0,
    )
    backlog: int = setting(
        20_000_000,
        "records",
        "Accepted and unfinished work at which nothing more is accepted; low is refused from 60 % of it on, normal "
        "from 75 %, high from 90 %",
        ge=1,
    )
    outbox: int = setting(
        10_000_000,
        "records",
        "What may wait in the outbox while the log is away, by the same shares: the database's disk must hold it, at "
        "500 bytes each; it counts for `backlog` too",
        ge=1,
    )
    commit_wait_s: float = setting(
        5.0, "s", "How long callers may wait for their commit, by the same shares; critical is always tried", gt=0
    )
    disk_reserve_bytes: int = setting(
        536_870_912,
        "bytes",
        "What is kept free on the volume of the data folder, or 5 % of it where that is less: nothing is accepted "
        "below it, and less and less the nearer it is; 0 keeps nothing free",
        ge=0,
    )
    queue: int = setting(
        20_000,
        "notifications",
        "How many may wait for their commit; low may fill 60 % of it, normal 75 %, high 90 %",
        ge=1,
    )
    request_timeout_s: float = setting(15.0, "s", "How long a request may take to arrive", gt=0)
    keep_alive_s: float = setting(75.0, "s", "How long an idle connection is kept", gt=0)
    connections: int = setting(8_192, "connections", "How many are held at once", ge=1)
    header_bytes: int = setting(16_384, "bytes", "The longest head of a request", ge=1_024)


class Logs(Section):
    """What is written to standard error, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = setting("info", "", "The least level that is written")
    sampling: Literal["all", "sampled", "off"] = setting(
        "sampled",
        "",
        "How many lines per notification: `all`, `off`, or `sampled`: all below 100 a second, then one in 100",
    )


def headers_in(text: str) -> dict[str, str]:
    """HTTP headers as OpenTelemetry spells them: `name=value`, several between commas. Raises ValueError."""
    headers = {}
    for pair in filter(None, (part.strip() for part in text.replace("\n", ",").split(","))):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ValueError("must be name=value, several between commas")
        headers[name.strip()] = value.strip()
    return headers


def _of_headers(value: SecretStr) -> SecretStr:
    headers_in(value.get_secret_value())
    return value


class Traces(Section):
    """Where spans go: an OpenTelemetry collector, or any backend that takes OTLP over HTTP."""

    otlp_url: Url | None = setting(
        None,
        "URL",
        "The base URL of the collector (`/v1/traces` is added); unset: no traces",
        examples=["http://127.0.0.1:4318"],
    )
    sample_ratio: float = setting(
        0.001,
        "share",
        "Of the notifications that come without a context of their own, how many are recorded; where a caller gives "
        "one, its flag decides",
        ge=0,
        le=1,
    )
    slow_ms: int = setting(
        2_000,
        "ms",
        "From ready to confirmed; what takes longer and was not sampled is recorded afterwards, as what failed is. "
        "Priority low is never slow; 0 calls nothing slow",
        ge=0,
    )
    headers: Annotated[Secret, AfterValidator(_of_headers)] | None = setting(
        None,
        "name=value,...",
        "HTTP headers for the collector, such as a backend's key",
        examples=["@/run/secrets/otlp-headers"],
    )


class Batches(Section):
    """How much is taken at once; larger is cheaper, smaller is quicker for what comes behind."""

    route: int = setting(500, "notifications", "The most that are routed at once", ge=1, le=5_000)
    deliver: int = setting(500, "deliveries", "The most that are delivered at once", ge=1, le=5_000)
    deliver_low: int = setting(
        200, "deliveries", "The same for priority low, which must not keep others waiting", ge=1, le=5_000
    )
    due: int = setting(1_000, "rows", "The most due rows that are released at once", ge=1, le=10_000)
    checkpoint_pages: int = setting(
        4_000, "pages of 4 KiB", "After how many written pages the write-ahead log is moved into the file", ge=100
    )
