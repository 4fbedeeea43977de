"""Bodies read strictly: one msgspec pass when all is well, and every faulty field named when it is not."""

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from bellhouse.web.codes import FieldCode
from bellhouse.web.problems import FieldError, Problem, invalid

T = TypeVar("T")

MAX_FAULTS: Final = 100
"""The most faulty fields that one answer lists: a bound on its size, far above what a person mends at once."""

_CONTAINERS: Final[dict[type, tuple[type, ...]]] = {dict: (dict, msgspec.Struct), list: (list, tuple)}
"""Which types take a JSON object, and which a list."""

_ENUM: Final = re.compile(r"Invalid enum value (.*)")
_BOUND: Final = re.compile(r"Expected `(\w+)`.* (<=|<|>=|>) (-?[\d.]+)")
_PATTERN: Final = re.compile(r"Expected `str` matching regex .*")
_AT: Final = re.compile(r" - at `(?:key )?.*$")


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes, shown: Any = None) -> T:
    """Decode a body; raises the Problem that names what is wrong with it.

    `shown` is the type that its faults are sought against, where the decoder's own has fields left unopened.
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise problem_of(error, body, shown or decoder.type) from error


def problem_of(error: Exception, body: bytes, wanted: Any) -> Problem:
    """The Problem behind a failed decoding of `body` as `wanted`."""
    if not isinstance(error, msgspec.ValidationError):
        return unreadable(error, body)
    try:
        # What the first pass skipped over may be no JSON at all.
        errors = tuple(faults(body, wanted)) or (FieldError("", "wrong_type", _sentence(str(error))),)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as found:
        return unreadable(found, body)
    return invalid(*errors)


def unreadable(error: Exception, body: bytes) -> Problem:
    """The Problem of a body that is no JSON text at all."""
    if isinstance(error, RecursionError):
        return invalid(FieldError("", "too_deep", "the body is nested deeper than anything here takes"))
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return Problem("not_utf8", f"Byte {fault.start} is not UTF-8.")
    return Problem("malformed_json", "The body is empty." if not body.strip() else f"{error}.")


def faults(body: bytes, wanted: Any) -> Iterator[FieldError]:
    """Every faulty field of a JSON text, at most MAX_FAULTS; nothing where it fits `wanted`."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.ValidationError as error:
        yield FieldError("", "too_large", _sentence(str(error)))
        return
    for count, fault in enumerate(_faults(value, wanted, "")):
        if count == MAX_FAULTS:
            return
        yield fault


def _faults(value: Any, wanted: Any, path: str) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, wanted)
        return
    except msgspec.ValidationError as error:
        failure = error
    inner = list(_inner_faults(value, _plain(wanted, value), path))
    if inner:
        yield from inner
    else:
        yield _leaf(failure, wanted, path)


def _inner_faults(value: Any, plain: Any, path: str) -> Iterator[FieldError]:
    """The faults inside a value; nothing where the fault is its own."""
    origin, arguments = get_origin(plain) or plain, get_args(plain)
    if isinstance(value, dict) and isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        yield from _struct_faults(value, plain, path)
    elif isinstance(value, dict) and origin is dict and arguments:
        for name, item in value.items():
            here = f"{path}.{name}" if path else str(name)
            yield from _faults(name, arguments[0], here)
            yield from _faults(item, arguments[1], here)
    elif isinstance(value, list) and origin in (tuple, list) and arguments:
        for index, item in enumerate(value):
            yield from _faults(item, arguments[0], f"{path}[{index}]")


def _struct_faults(value: dict[str, Any], struct: type[msgspec.Struct], path: str) -> Iterator[FieldError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in value:
        if name not in fields and struct.__struct_config__.forbid_unknown_fields:
            yield FieldError(_under(path, name), "unknown_field", f"the fields here are {', '.join(sorted(fields))}")
    for name, field in fields.items():
        if name in value:
            yield from _faults(value[name], field.type, _under(path, name))
        elif field.required:
            yield FieldError(_under(path, name), "required", "this field must be there")


def _under(path: str, name: str) -> str:
    shown = name if len(name) <= 64 else name[:63] + "…"
    return f"{path}.{shown}" if path else shown


def _plain(wanted: Any, value: Any) -> Any:
    """The type without its annotations; of a union the member that such a value is meant for."""
    while get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    if get_origin(wanted) not in (Union, UnionType):
        return wanted
    members = [_plain(member, value) for member in get_args(wanted) if member is not NoneType]
    containers = _CONTAINERS.get(type(value), ())
    for member in members:
        origin = get_origin(member) or member
        if isinstance(origin, type) and containers and issubclass(origin, containers):
            return member
    return members[0]


def _leaf(error: msgspec.ValidationError, wanted: Any, path: str) -> FieldError:
    """One fault in our words: its code, and a message that says what the field takes."""
    code = _code_of(str(error))
    if code == "not_allowed":
        return FieldError(path, code, f"it takes {_choices(wanted)}")
    if _PATTERN.match(str(error)):
        return FieldError(path, code, _described(wanted) or _sentence(str(error)))
    return FieldError(path, code, _sentence(str(error)))


def parameter_fault(name: str, text: str) -> FieldError:
    """The fault of a parameter, from the text that the library gives; whatever is sent there is text."""
    code = _code_of(text)
    return FieldError(name, "invalid_format" if code == "wrong_type" else code, _sentence(text))


def _code_of(text: str) -> FieldCode:
    """The code behind a library's message."""
    if _ENUM.match(text):
        return "not_allowed"
    if _PATTERN.match(text) or _is_moment(text):
        return "invalid_format"
    if bound := _BOUND.match(text):
        return _bound_code(bound[1], bound[2], "length" in text)
    return "too_large" if "out of range" in text else "wrong_type"


def _is_moment(text: str) -> bool:
    return "RFC3339" in text or "timezone component" in text


def _bound_code(kind: str, operator: str, is_length: bool) -> FieldCode:
    upper = operator in ("<=", "<")
    if not is_length:
        return "too_large" if upper else "too_small"
    if kind == "str":
        return "too_long" if upper else "too_short"
    return "too_many" if upper else "too_few"


def _sentence(text: str) -> str:
    """A library's message without the path, which the field has already."""
    if _is_moment(text):
        return "it takes RFC 3339 with a zone, such as 2026-11-23T05:00:00Z"
    text = _AT.sub("", text)
    return text[:1].lower() + text[1:]


def _choices(wanted: Any) -> str:
    """The words of a closed set, for people."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _choices(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(_choices(member) for member in arguments if member is not NoneType)
    return ", ".join(str(word) for word in arguments) if arguments else str(wanted)


def _described(wanted: Any) -> str:
    """The description that the type's annotation gives."""
    if get_origin(wanted) in (Union, UnionType):
        return next((text for text in map(_described, get_args(wanted)) if text), "")
    if get_origin(wanted) is not Annotated:
        return ""
    for meta in get_args(wanted)[1:]:
        if isinstance(meta, msgspec.Meta) and meta.description:
            return meta.description
    return _described(get_args(wanted)[0])
