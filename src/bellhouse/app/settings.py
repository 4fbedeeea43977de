"""The settings: read once from defaults, one file and the environment, and refused whole when one is wrong."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec
from pydantic import ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bellhouse.app.sections import (
    CHANNELS_OF,
    Batches,
    Breaker,
    Limits,
    Logs,
    Order,
    Pem,
    ProviderName,
    Providers,
    Retry,
    Url,
    setting,
)
from bellhouse.domain.words import CHANNELS, Channel

PREFIX: Final = "BELLHOUSE_"
FILE_NAME: Final = "bellhouse.toml"
Origin = Literal["default", "file", "environment", "command line"]

BARE_NAMES: Final = {"PRIMARY_PROVIDER": "primary_provider", "SEND_RATE_LIMIT": "send_rate_limit"}
"""The names that runbooks set on a deployment, without our prefix."""

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


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    data: Path = setting(Path("bellhouse-data"), "folder", "Where the database, its keys and the locks are kept")
    host: str = setting("127.0.0.1", "address", "On which address the API listens; `0.0.0.0` for all")
    port: int = setting(8080, "port", "On which port the API listens; 0 for any free one", ge=0, le=65535)
    public_url: Url | None = setting(
        None, "URL", "Where providers reach this API for their callbacks; unset: http://host:port"
    )
    processes: int = setting(
        2, "processes", "2: the API with the critical lane beside the bulk of the work; 1: all in one", ge=1, le=2
    )
    drain_timeout_s: float = setting(
        20.0, "s", "How long work in flight may take to finish at a stop before it is cut off", gt=0, le=3_600
    )
    primary_provider: ProviderName | None = setting(
        None, "provider", "Goes first in every channel that it serves, before the order below"
    )
    send_rate_limit: float | None = setting(
        None, "messages/s", "The most that the whole deployment sends; unset: no limit but the providers' own", gt=0
    )
    simulator: Url | None = setting(
        None, "URL", "A provider simulator: all providers are configured from it and send to it"
    )
    ca: Pem | None = setting(
        None, "PEM", "A certificate authority that is trusted beside the system's, as text or as `@/path`"
    )
    order: Order = Order()
    providers: Providers = Providers()
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    limits: Limits = Limits()
    logs: Logs = Logs()
    batches: Batches = Batches()

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

    @model_validator(mode="after")
    def _providers_fit(self) -> Self:
        """Every channel's order names providers that can serve it."""
        for channel in CHANNELS:
            for name in getattr(self.order, channel):
                if channel not in CHANNELS_OF[name]:
                    raise ValueError(f"order.{channel}: {name} does not serve {channel}; take it out of the list")
        return self

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


class Fault(msgspec.Struct, frozen=True):
    """A setting that cannot be used."""

    setting: str
    """Its dotted name, or the file's."""
    reason: str
    origin: Origin | None
    remedy: str = ""

    def __str__(self) -> str:
        place = f" ({self.origin})" if self.origin else ""
        return f"{self.setting}{place}: {self.reason}" + (f". {self.remedy}" if self.remedy else "")


class SettingsError(Exception):
    """The settings cannot be used; the message names each faulty one and its remedy."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(["These settings cannot be used:", *(f"  {fault}" for fault in faults)]))
        self.faults = faults


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
    return bare.get(dotted) or PREFIX + dotted.upper().replace(".", "__")


class _Environment(EnvSettingsSource):
    """pydantic-settings' reading of variables, with lists as words between commas beside JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
            return [part.strip() for part in value.split(",") if part.strip()]
        return super().decode_complex_value(field_name, field, value)


def _from_environment(env: Mapping[str, str]) -> tuple[dict[str, Any], list[Fault]]:
    """What the environment sets, and the faults of names that set nothing."""
    source = _Environment(Settings)
    source.env_vars = {name.lower(): value for name, value in env.items() if name not in CLIENT_NAMES}
    try:
        values = source()
    except ValueError as error:
        raise SettingsError(
            [Fault("the environment", str(error), None, "Write JSON, or words between commas")]
        ) from None
    for name, dotted in BARE_NAMES.items():
        if env.get(name):
            values[dotted] = env[name]
    return values, [fault for name in env if (fault := _unknown_variable(name))]


def _unknown_variable(name: str) -> Fault | None:
    if not name.startswith(PREFIX) or name in CLIENT_NAMES:
        return None
    head = name[len(PREFIX) :].lower().split("__")[0]
    if head in Settings.model_fields:
        return None
    return Fault(name, "there is no such setting", "environment", _suggestion(head, Settings.model_fields))


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"Did you mean {close[0]}?" if close else "`bellhouse config` lists all of them"


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
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingsError([*faults, *_faults(error, origins)]) from None
    faults = [*faults, *_missing(settings)]
    if faults:
        raise SettingsError(faults)
    return settings


def _faults(error: ValidationError, origins: Mapping[str, Origin]) -> Iterator[Fault]:
    """pydantic's findings in our words."""
    for found in error.errors(include_url=False, include_input=False):
        names = [str(part) for part in found["loc"] if not isinstance(part, int)]
        dotted = ".".join(names)
        if not dotted:
            yield Fault("order", found["msg"].removeprefix("Value error, order."), None)
        elif found["type"] == "extra_forbidden":
            yield Fault(dotted, "there is no such setting", origins.get(dotted), _near(names))
        else:
            reason = found["msg"].removeprefix("Value error, ")
            yield Fault(dotted, reason[:1].lower() + reason[1:], origins.get(dotted), _default(names))


def _near(names: list[str]) -> str:
    """The setting that was probably meant by an unknown name."""
    model: Any = Settings
    for name in names[:-1]:
        if name not in model.model_fields:
            return _suggestion(name, model.model_fields)
        model = model.model_fields[name].annotation
    return _suggestion(names[-1], model.model_fields)


def _default(names: list[str]) -> str:
    """What the setting is when nobody sets it."""
    model: Any = Settings
    for name in names[:-1]:
        model = model.model_fields[name].annotation
    field = model.model_fields.get(names[-1])
    return "" if field is None or field.default is None else f"The default is {field.default}"


def _missing(settings: Settings) -> Iterator[Fault]:
    """What an enabled provider lacks."""
    for name, needed in NEEDED.items():
        table = getattr(settings.providers, name)
        for field in needed:
            if table.enabled and not getattr(table, field) and settings.simulator is None:
                dotted = f"providers.{name}.{field}"
                remedy = f"Set {environment_name(dotted)}, or {field} under [providers.{name}] in {FILE_NAME}"
                yield Fault(dotted, f"is needed since {name} is enabled", None, remedy)
