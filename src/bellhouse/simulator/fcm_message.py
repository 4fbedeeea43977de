"""The request of FCM's `messages:send`, read as strictly as Google reads it."""

import re
from typing import Literal

import msgspec
from msgspec import Raw, Struct


class Violation(Exception):
    """A field Google refuses: its path and why."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(description)
        self.field = field


class Notification(Struct, forbid_unknown_fields=True):
    """`message.notification`."""

    title: str = ""
    body: str = ""
    image: str = ""


class Android(Struct, forbid_unknown_fields=True):
    """`message.android`."""

    collapse_key: str | None = None
    priority: Literal["normal", "high", "NORMAL", "HIGH"] | None = None
    ttl: str | None = None
    restricted_package_name: str | None = None
    data: dict[str, str] | None = None
    notification: Raw = Raw()
    fcm_options: Raw = Raw()
    direct_boot_ok: bool = False
    bandwidth_constrained_ok: bool = False
    restricted_satellite_ok: bool = False


class Message(Struct, forbid_unknown_fields=True):
    """`message`; parts that only the device reads stay raw."""

    token: str | None = None
    fid: str | None = None
    topic: str | None = None
    condition: str | None = None
    name: str | None = None
    data: dict[str, str] = {}
    notification: Notification | None = None
    android: Android | None = None
    apns: Raw = Raw()
    webpush: Raw = Raw()
    fcm_options: Raw = Raw()


class SendRequest(Struct, forbid_unknown_fields=True):
    """The whole body."""

    message: Message
    validate_only: bool = False


_DECODER = msgspec.json.Decoder(SendRequest)
_TTL = re.compile(r"^(\d{1,12})(\.\d{1,9})?s$")
_TOPIC = re.compile(r"^[a-zA-Z0-9\-_.~%]+$")
_LONGEST_TTL_S = 2_419_200
_PAYLOAD_LIMIT, _TOPIC_PAYLOAD_LIMIT = 4096, 2048
_OPAQUE = frozenset({"data", "apns", "webpush"})
_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")


def read(body: bytes) -> SendRequest:
    """The request in `body`; raises Violation as FCM's validation would."""
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        request = _read_lower_camel(body, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Violation("", f"Invalid JSON payload received. {error}") from error
    _check(request.message, len(body))
    return request


def _read_lower_camel(body: bytes, error: msgspec.ValidationError) -> SendRequest:
    """Both spellings of every name are lawful in Google's JSON; the second is looked at only when the first fails."""
    try:
        return _DECODER.decode(msgspec.json.encode(_snake(msgspec.json.decode(body))))
    except msgspec.ValidationError:
        where = _WHERE.search(str(error))
        raise Violation(where[1] if where else "", f"Invalid JSON payload received. {error}") from error


def _snake(value: object) -> object:
    if not isinstance(value, dict):
        return value
    out: dict[str, object] = {}
    for key, inner in value.items():
        name = re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), key)
        out[name] = inner if name in _OPAQUE else _snake(inner)
    return out


def _check(message: Message, size: int) -> None:
    targets = [t for t in (message.token, message.fid, message.topic, message.condition) if t is not None]
    if len(targets) != 1:
        raise Violation("message", "Recipient of the message is not set." if not targets else "oneof field 'target'")
    if message.topic is not None and not _TOPIC.match(message.topic):
        raise Violation("message.topic", "Malformed topic name")
    for key in message.data:
        if key == "from" or key.startswith(("gcm", "google")):
            raise Violation("message.data", f"Invalid data payload key: {key}")
    if message.android is not None and message.android.ttl is not None:
        _check_ttl(message.android.ttl)
    if size > _TOPIC_PAYLOAD_LIMIT:
        limit = _PAYLOAD_LIMIT if message.topic is None else _TOPIC_PAYLOAD_LIMIT
        if _payload_size(message) > limit:
            raise Violation("", "Android message is too big")


def _check_ttl(ttl: str) -> None:
    match = _TTL.match(ttl)
    if match is None or int(match[1]) > _LONGEST_TTL_S:
        raise Violation("message.android.ttl", "Invalid ttl")


def _payload_size(message: Message) -> int:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in message.data.items())
    note = message.notification
    if note is not None:
        size += len(note.title.encode()) + len(note.body.encode()) + len(note.image.encode())
    return size
