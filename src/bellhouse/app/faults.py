"""What is wrong with settings, in words: a fault for each, and pydantic's findings turned into ours."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ValidationError

Origin = Literal["default", "file", "environment", "command line"]


class Fault(msgspec.Struct, frozen=True):
    """A setting that cannot be used."""

    setting: str
    """Its dotted name, or the file's."""
    reason: str
    origin: Origin | None
    remedy: str = ""
    fatal: bool = True
    """False where everything works without it, though not as one would wish."""

    def __str__(self) -> str:
        place = f" ({self.origin})" if self.origin else ""
        return f"{self.setting}{place}: {self.reason}" + (f". {self.remedy}" if self.remedy else "")


class SettingsError(Exception):
    """The settings cannot be used; the message names each faulty one and its remedy."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(["These settings cannot be used:", *(f"  {fault}" for fault in faults)]))
        self.faults = faults


def faults_in(error: ValidationError, model: type[BaseModel], origins: Mapping[str, Origin]) -> Iterator[Fault]:
    """pydantic's findings in our words."""
    for found in error.errors(include_url=False, include_input=False):
        names = names_in(found["loc"])
        dotted = ".".join(names)
        if found["type"] == "extra_forbidden":
            yield Fault(dotted, "there is no such setting", origins.get(dotted), _near(model, names))
        else:
            reason = found["msg"].removeprefix("Value error, ")
            yield Fault(dotted, reason[:1].lower() + reason[1:], origins.get(dotted), _default(model, names))


def _near(model: Any, names: list[str]) -> str:
    """The setting that was probably meant by an unknown name."""
    for name in names[:-1]:
        if name not in model.model_fields:
            return suggestion(name, model.model_fields)
        model = model.model_fields[name].annotation
    return suggestion(names[-1], model.model_fields)


def _default(model: Any, names: list[str]) -> str:
    """What the setting is when nobody sets it."""
    for name in names[:-1]:
        model = model.model_fields[name].annotation
    field = model.model_fields.get(names[-1])
    if field is None or field.default in (None, "", ()) or isinstance(field.default, BaseModel):
        return ""
    default = field.default
    return f"The default is {', '.join(default) if isinstance(default, tuple) else default}"


def names_in(location: tuple[int | str, ...]) -> list[str]:
    """The setting's name, from the table down, in pydantic's location of a finding."""
    return [part for part in location if isinstance(part, str)]


def suggestion(name: str, known: Mapping[str, object]) -> str:
    """The name that was probably meant."""
    close = difflib.get_close_matches(name, known, 1)
    return f"Did you mean {close[0]}?" if close else "`bellhouse config` lists all of them"
