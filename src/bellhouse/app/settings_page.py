"""The settings shown to people: a row for each with its value and origin, and the reference page made from the code."""

import re
from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from bellhouse.app.settings import Loaded, Origin, Settings, environment_name

MASK: Final = "********"
LANES: Final = ("high", "normal", "low")
"""The priorities whose tables are not written out: they are what that of `critical` is."""

_PASSWORD: Final = re.compile(r"(://[^\s:/@]*:)[^\s/]*@")


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
            unit=unit_of(field),
            environment=environment_name(name),
            description=field.description or "",
        )
        for name, field in fields_of(Settings)
    ]


def reference() -> str:
    """The page `docs/reference/settings.md`."""
    lines = [_INTRODUCTION]
    tables: dict[str, list[tuple[str, FieldInfo]]] = {}
    for name, field in written_out():
        tables.setdefault(name.rpartition(".")[0], []).append((name, field))
    for table, fields in tables.items():
        lines += ["", f"## [{table}]" if table else "## At the top of the file", ""]
        if table:
            lines += [prose_of(table), ""]
        lines += ["| setting | default | unit | what it does |", "| --- | --- | --- | --- |"]
        lines += [_line(name, field) for name, field in fields]
    return "\n".join(lines) + "\n"


_INTRODUCTION: Final = """\
# Settings

Made from the code by `make docs`; `bellhouse config` shows the same with the values in force and where each comes
from. A flag of the command line wins over the environment, the environment over the file, the file over the default.

* **File:** TOML, `bellhouse.toml` in the data folder, or `--config FILE`. The headings below are its tables.
* **Environment:** `BELLHOUSE_` and the setting's name in capitals, two underscores between table and name:
  `providers.twilio.sender` is `BELLHOUSE_PROVIDERS__TWILIO__SENDER`. Lists are words between commas. Three
  have names of their own: `PRIMARY_PROVIDER`, `SEND_RATE_LIMIT` and `KAFKA_BROKERS`.
* **Secrets** may be given as `@/path`: then they are read from that file. They are never shown or logged.
* **A start:** `bellhouse config default > bellhouse.toml` writes a file with every setting, its meaning and its
  default. `bellhouse config check` says whether a file and the environment can be used; with `--role ROLE` also
  whether they are enough for a role of the distributed mode, and with `--connect` whether what they name answers.

A name that does not exist, a value out of bounds, settings that contradict each other and an enabled provider without
its credentials are errors: nothing starts, and all of them are named at once. With no provider enabled every channel
goes to `log`, which accepts everything and sends nothing."""


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted name."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from fields_of(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def written_out() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting once: of the tables for a priority only the first."""
    alike = tuple(f".lanes.{priority}." for priority in LANES)
    return ((name, field) for name, field in fields_of(Settings) if not any(part in name for part in alike))


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
        case str():
            # An engine's URL may hold the password.
            return _PASSWORD.sub(rf"\1{MASK}@", value)
        case None | bool() | int() | float():
            return value
        case _:
            return str(value)


def unit_of(field: FieldInfo) -> str:
    """The unit in which a person writes the setting, empty where it has none."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def bounds_of(field: FieldInfo) -> str:
    """Between which numbers the setting must lie, empty where any will do."""
    least, most = "", ""
    for bound in field.metadata:
        match bound:
            case Ge():
                least = f"at least {bound.ge}"
            case Gt():
                least = f"above {bound.gt}"
            case Le():
                most = f"at most {bound.le}"
            case Lt():
                most = f"below {bound.lt}"
    if least.startswith("at least") and most.startswith("at most"):
        return f"{least.removeprefix('at least ')} to {most.removeprefix('at most ')}"
    return ", ".join(part for part in (least, most) if part)


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """The words among which the setting is one, empty where it is free."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    # Where it may be unset, the words are one level down.
    arguments = tuple(kinds) if len(kinds) != 1 else get_args(kinds[0]) or tuple(kinds)
    return arguments if arguments and all(isinstance(item, str) for item in arguments) else ()


def prose_of(table: str) -> str:
    """What a table is about."""
    model: Any = Settings
    for name in table.split("."):
        model = model.model_fields[name].annotation
    alike = f" The same for {', '.join(f'`{priority}`' for priority in LANES)}." if ".lanes." in table else ""
    return " ".join((model.__doc__ or "").split()) + alike


def _line(name: str, field: FieldInfo) -> str:
    default = _shown(field.default)
    text = "" if default is None else ", ".join(default) if isinstance(default, list) else str(default)
    text = text.lower() if isinstance(default, bool) else text
    kind = [part for part in (unit_of(field), bounds_of(field)) if part]
    kind = kind or [" \\| ".join(f"`{choice}`" for choice in choices_of(field))]
    shown = f"`{text}`" if text else "unset"
    return f"| `{name.rpartition('.')[2]}` | {shown} | {', '.join(kind)} | {field.description} |"
