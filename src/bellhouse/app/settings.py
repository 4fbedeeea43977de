"""The settings: read once from defaults, one file and the environment, and refused whole when one is wrong."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bellhouse.app.engines_sections import Kafka, Redis, Store
from bellhouse.app.faults import Fault, Origin, SettingsError, faults_in, names_in, suggestion
from bellhouse.app.secrets import pepper_as_text, spells_no_pepper
from bellhouse.app.sections import (
    CHANNELS_OF,
    Batches,
    Breaker,
    Contradiction,
    Limits,
    Logs,
    Order,
    Pem,
    Probes,
    ProviderName,
    Providers,
    Retry,
    Section,
    Traces,
    Url,
    from_file,
    setting,
)
from bellhouse.domain.words import Channel

__all__ = [
    "BARE_NAMES",
    "CLIENT_NAMES",
    "FILE_NAME",
    "Fault",
    "Loaded",
    "Origin",
    "Settings",
    "SettingsError",
    "environment_name",
    "load",
    "where_to_set",
]

PREFIX: Final = "BELLHOUSE_"
FILE_NAME: Final = "bellhouse.toml"

BARE_NAMES: Final = {
    "PRIMARY_PROVIDER": "primary_provider",
    "SEND_RATE_LIMIT": "send_rate_limit",
    "KAFKA_BROKERS": "kafka.brokers",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "traces.otlp_url",
}
"""The names that runbooks, or a standard, set on a deployment, without our prefix; they win over those with it."""

CLIENT_NAMES: Final = frozenset({"BELLHOUSE_URL", "BELLHOUSE_KEY", "BELLHOUSE_SIMULATOR_URL"})
"""What the command line's clients read to find a server: no settings of the server's own."""

NEEDED: Final[dict[ProviderName, tuple[str, ...]]] = {
    "fcm": ("service_account",),
    "sendgrid": ("api_key",),
    "smtp": ("host",),
    "twilio": ("account_sid", "auth_token", "sender"),
    "vonage": ("api_key", "api_secret", "sender"),
}
"""Without these an enabled provider cannot work."""

_SECRET_LENGTH: Final = 32
_INSTANCE: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")


def _secret_or_pepper(value: object) -> object:
    """A data folder's pepper, given as `@/path/pepper`, is taken as it is: it is no text."""
    if isinstance(value, str) and value.startswith("@"):
        with suppress(OSError):
            spelled = pepper_as_text(Path(value[1:]).read_bytes())
            if spelled is not None:
                return spelled
    return from_file(value)


def _hard_to_guess(value: SecretStr) -> SecretStr:
    if spells_no_pepper(value.get_secret_value()):
        raise ValueError("must have 64 hexadecimal digits behind `pepper:`; `@/path/pepper` reads them from the file")
    if len(value.get_secret_value()) < _SECRET_LENGTH:
        raise ValueError(f"must have at least {_SECRET_LENGTH} characters; `openssl rand -hex 32` makes one")
    return value


def _instance(value: str) -> str:
    if value and not _INSTANCE.fullmatch(value):
        raise ValueError("must be at most 200 letters, digits, dots, underscores and hyphens")
    return value


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    data: Path = setting(Path("bellhouse-data"), "folder", "Where the database, its keys and the locks are kept")
    host: str = setting("127.0.0.1", "address", "On which address the API listens; `0.0.0.0` for all")
    port: int = setting(8080, "port", "On which port the API listens; 0 for any free one", ge=0, le=65535)
    public_url: Url | None = setting(
        None,
        "URL",
        "Where providers reach this API for their callbacks; unset: http://host:port",
        examples=["https://notify.example.com"],
    )
    processes: int = setting(
        2, "processes", "2: the API with the critical lane beside the bulk of the work; 1: all in one", ge=1, le=2
    )
    drain_timeout_s: float = setting(
        20.0, "s", "How long work in flight may take to finish at a stop before it is cut off", gt=0, le=3_600
    )
    primary_provider: ProviderName | None = setting(
        None, "provider", "Goes first in every channel that it serves, before the order below", examples=["twilio"]
    )
    send_rate_limit: float | None = setting(
        None,
        "messages/s",
        "The most that the whole deployment sends; unset: no limit but the providers' own",
        gt=0,
        examples=[500.0],
    )
    simulator: Url | None = setting(
        None,
        "URL",
        "A provider simulator: all providers are configured from it and send to it",
        examples=["http://127.0.0.1:9100"],
    )
    ca: Pem | None = setting(
        None,
        "PEM",
        "A certificate authority that is trusted beside the system's, as text or as `@/path`",
        examples=["@/etc/bellhouse/ca.pem"],
    )
    secret: Annotated[SecretStr, BeforeValidator(_secret_or_pepper), AfterValidator(_hard_to_guess)] | None = setting(
        None,
        "32 characters or more",
        "Keys the digests of API keys and signs receipts, the same for all hosts; `@/path/pepper` is that of a data "
        "folder; unset: the data folder's own",
        examples=["@/run/secrets/bellhouse"],
    )
    instance: Annotated[str, AfterValidator(_instance)] = setting(
        "",
        "name",
        "A name that this process has again after a restart, and no other beside it: its partitions wait for it then, "
        "for kafka.session_timeout_s, after a stop as after a kill; unset: a stop gives them to the others at once",
        examples=["push-worker-0"],
    )
    lease_s: float = setting(
        8.0, "s", "How long a silent process is trusted; less than kafka.session_timeout_s", gt=0, le=1_800
    )
    metrics_host: str = setting(
        "127.0.0.1", "address", "On which address a role without the API answers /metrics; `0.0.0.0` for all"
    )
    metrics_port: int = setting(9464, "port", "On which port it does; 0 for any free one", ge=0, le=65535)
    balance_every_s: float = setting(
        300.0, "s", "How often providers are asked what money is left in their accounts", gt=0, le=86_400
    )
    order: Order = Order()
    providers: Providers = Providers()
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    probes: Probes = Probes()
    limits: Limits = Limits()
    logs: Logs = Logs()
    traces: Traces = Traces()
    batches: Batches = Batches()
    store: Store = Store()
    kafka: Kafka = Kafka()
    redis: Redis = Redis()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` has merged itself, since it must know where each value comes from."""
        return (init_settings,)

    def contradictions(self) -> Iterator[Contradiction]:
        """Everything that is right by itself and cannot be together, by dotted name."""
        yield from _within(self, "")
        yield from self._lacking()
        if self.lease_s >= self.kafka.session_timeout_s:
            reason = f"must be less than kafka.session_timeout_s, which is {self.kafka.session_timeout_s:g}"
            remedy = "Otherwise a process could still send what Kafka has given to another"
            yield Contradiction("lease_s", reason, remedy, ("kafka.session_timeout_s",))

    def _lacking(self) -> Iterator[Contradiction]:
        """What an enabled provider lacks."""
        for name, needed in NEEDED.items():
            table = getattr(self.providers, name)
            for field in needed:
                if table.enabled and not getattr(table, field) and self.simulator is None:
                    dotted = f"providers.{name}.{field}"
                    yield Contradiction(dotted, f"is needed since {name} is enabled", where_to_set(dotted))

    def providers_of(self, channel: Channel) -> tuple[ProviderName, ...]:
        """The enabled providers of a channel in the order in which they are tried; `log` alone where there are none."""
        order: list[ProviderName] = list(getattr(self.order, channel))
        first = self.primary_provider
        if first is not None and channel in CHANNELS_OF[first]:
            order = [first, *(name for name in order if name != first)]
        return tuple(name for name in order if getattr(self.providers, name).enabled) or ("log",)

    @property
    def database(self) -> Path:
        """The one file that holds everything."""
        return self.data / "bellhouse.db"


class Loaded(msgspec.Struct, frozen=True):
    """Settings, and where those come from that are not defaults."""

    settings: Settings
    origins: Mapping[str, Origin]
    """By dotted name."""
    file: Path | None
    """The file that was read, if there was one."""


def load(
    flags: Mapping[str, Any] | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Read the settings: flags of the command line over the environment over the file over the defaults.

    `flags` are top-level settings, None where a flag was not given. `config` must exist if it is given; without it
    `bellhouse.toml` in the data folder is read where there is one. `environment` stands for the process's own in
    tests. Raises SettingsError with everything that is wrong.
    """
    env = os.environ if environment is None else environment
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    from_env, faults = _from_environment(env)
    folder = Path(given.get("data", from_env.get("data", Settings.model_fields["data"].default)))
    file, from_file = _from_file(config, folder)
    sources: list[tuple[Origin, dict[str, Any]]] = [
        ("file", from_file),
        ("environment", from_env),
        ("command line", given),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for origin, values in sources:
        _merge(merged, values)
        origins |= dict.fromkeys(_dotted(values), origin)
    settings = _validated(merged, origins, faults)
    return Loaded(settings, origins, file)


def environment_name(dotted: str) -> str:
    """The environment variable of a setting."""
    bare = {setting: name for name, setting in BARE_NAMES.items()}
    return bare.get(dotted) or _prefixed(dotted)


def where_to_set(dotted: str) -> str:
    """The remedy for a setting that is missing."""
    table, _, name = dotted.rpartition(".")
    place = f"{name} under [{table}]" if table else f"{name} at the top"
    return f"Set {environment_name(dotted)}, or {place} in {FILE_NAME}"


def _prefixed(dotted: str) -> str:
    return PREFIX + dotted.upper().replace(".", "__")


class _Environment(EnvSettingsSource):
    """pydantic-settings' reading of variables, with lists as words between commas beside JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
            return [part.strip() for part in value.split(",") if part.strip()]
        return super().decode_complex_value(field_name, field, value)


def _from_environment(env: Mapping[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    """What the environment sets, and the faults of names that set nothing."""
    source = _Environment(Settings)
    named = {name.lower(): value for name, value in env.items() if name not in CLIENT_NAMES}
    source.env_vars = named | {_prefixed(of).lower(): env[name] for name, of in BARE_NAMES.items() if env.get(name)}
    try:
        values = source()
    except ValueError as error:
        raise SettingsError(
            [Fault("the environment", str(error), None, "Write JSON, or words between commas")]
        ) from None
    return values, [fault for name in env if (fault := _unknown_variable(name))]


def _unknown_variable(name: str) -> Fault | None:
    if not name.startswith(PREFIX) or name in CLIENT_NAMES:
        return None
    head = name[len(PREFIX) :].lower().split("__")[0]
    if head in Settings.model_fields:
        return None
    return Fault(name, "there is no such setting", "environment", suggestion(head, Settings.model_fields))


def _from_file(config: Path | None, folder: Path) -> tuple[Path | None, dict[str, Any]]:
    path = config or folder / FILE_NAME
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config is None:
            return None, {}
        raise SettingsError([Fault(str(path), "there is no such file", None, "Give the path of a TOML file")]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([Fault(str(path), f"is not TOML: {error}", None)]) from None
    except OSError as error:
        raise SettingsError([Fault(str(path), f"cannot be read: {error.strerror}", None)]) from None


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, dict) else value


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _validated(merged: dict[str, Any], origins: Mapping[str, Origin], faults: list[Fault]) -> Settings:
    """The settings, or one refusal with everything: what is wrong by itself and what the rest contradicts."""
    try:
        settings, faulty = Settings(**merged), frozenset[str]()
    except ValidationError as error:
        names = [names_in(found["loc"]) for found in error.errors(include_url=False, include_input=False)]
        faults = [*faults, *faults_in(error, Settings, origins)]
        settings, faulty = Settings(**_without(merged, names)), frozenset(".".join(name) for name in names)
    for found in settings.contradictions():
        # What rests on a value that is itself refused would be said of the default in its place.
        if not faulty.intersection((found.setting, *found.beside)):
            faults = [*faults, Fault(found.setting, found.reason, origins.get(found.setting), found.remedy)]
    if faults:
        raise SettingsError(faults)
    return settings


def _without(values: dict[str, Any], names: list[list[str]]) -> dict[str, Any]:
    """The values without those of these names."""
    gone = {name[0] for name in names if len(name) == 1}
    inner = {name: [rest[1:] for rest in names if rest[0] == name] for name in values if name not in gone}
    return {name: _without(values[name], rest) if rest else values[name] for name, rest in inner.items()}


def _within(model: Settings | Section, prefix: str) -> Iterator[Contradiction]:
    """The contradictions of every table inside a model, under their dotted names."""
    for name in type(model).model_fields:
        table = getattr(model, name)
        if isinstance(table, Section):
            inner = f"{prefix}{name}."
            for found in table.contradictions():
                dotted, beside = inner + found.setting, tuple(inner + other for other in found.beside)
                remedy = found.remedy or where_to_set(dotted)
                yield Contradiction(dotted, found.reason, remedy, beside)
            yield from _within(table, inner)
