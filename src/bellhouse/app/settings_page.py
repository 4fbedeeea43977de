"""The settings shown to people: a row for each with its value and origin, and the reference page made from the code."""

from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bellhouse.app.settings import Loaded, Origin, Settings, environment_name

MASK: Final = "********"


class Row(msgspec.Struct, frozen=True):
    """One setting as it stands."""

    name: str
    value: Any
    """JSON; a secret that is set shows as asterisks."""
    default: Any
    origin: Origin
    unit: str
    environment: str
    description: str


def rows(loaded: Loaded) -> list[Row]:
    """Every setting, in the order of the reference."""
    return [
        Row(
            name=name,
            value=_shown(_value(loaded.settings, name)),
            default=_shown(field.default),
            origin=loaded.origins.get(name, "default"),
            unit=_unit(field),
            environment=environment_name(name),
            description=field.description or "",
        )
        for name, field in _fields(Settings)
    ]


def reference() -> str:
    """The page `docs/reference/settings.md`."""
    lines = [_INTRODUCTION]
    tables: dict[str, list[tuple[str, FieldInfo]]] = {}
    for name, field in _fields(Settings):
        tables.setdefault(name.rpartition(".")[0], []).append((name, field))
    for table, fields in tables.items():
        lines += ["", f"## [{table}]" if table else "## At the top of the file", ""]
        if table:
            lines += [_prose(table), ""]
        lines += ["| setting | default | unit | what it does |", "| --- | --- | --- | --- |"]
        lines += [_line(name, field) for name, field in fields]
    return "\n".join(lines) + "\n"


_INTRODUCTION: Final = """\
# Settings

Made from the code by `make docs`; `bellhouse config` shows the same with the values in force and where each comes
from. A flag of the command line wins over the environment, the environment over the file, the file over the default.

* **File:** TOML, `bellhouse.toml` in the data folder, or `--config FILE`. The headings below are its tables.
* **Environment:** `BELLHOUSE_` and the setting's name in capitals, two underscores between table and name:
  `providers.twilio.sender` is `BELLHOUSE_PROVIDERS__TWILIO__SENDER`. Lists are words between commas. Two have names
  of their own: `PRIMARY_PROVIDER` and `SEND_RATE_LIMIT`.
* **Secrets** may be given as `@/path`: then they are read from that file. They are never shown or logged.

A name that does not exist, a value out of bounds and an enabled provider without its credentials are errors: nothing
starts, and all of them are named at once. With no provider enabled every channel goes to `log`, which accepts
everything and sends nothing."""


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _value(settings: BaseModel, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _shown(value: Any) -> Any:
    match value:
        case SecretStr():
            return MASK
        case tuple():
            return list(value)
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _prose(table: str) -> str:
    model: Any = Settings
    for name in table.split("."):
        model = model.model_fields[name].annotation
    return (model.__doc__ or "").strip()


def _line(name: str, field: FieldInfo) -> str:
    default = _shown(field.default)
    text = "" if default is None else ", ".join(default) if isinstance(default, list) else str(default)
    text = text.lower() if isinstance(default, bool) else text
    choices = _choices(field)
    unit = _unit(field) or (" \\| ".join(f"`{choice}`" for choice in choices) if choices else "")
    shown = f"`{text}`" if text else "unset"
    return f"| `{name.rpartition('.')[2]}` | {shown} | {unit} | {field.description} |"


def _choices(field: FieldInfo) -> tuple[Any, ...]:
    arguments = get_args(field.annotation)
    return arguments if arguments and all(isinstance(item, str) for item in arguments) else ()
