"""What a caller sends and what it is answered, and the rules that a notification must keep."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from bellhouse.domain.words import Channel, Priority
from bellhouse.web.codes import FieldCode
from bellhouse.web.decode import decode
from bellhouse.web.limits import Limits
from bellhouse.web.problems import FieldError, Problem, ProblemDetails, invalid
from bellhouse.web.times import Moment, milliseconds
from bellhouse.web.words import Key, Name

_DAY_MS: Final = 86_400_000
_PAST_MS: Final = 3_600_000
"""How far `send_at` may lie in the past, and then means at once: clocks differ and queues take time."""
_LIFETIME_MS: Final = 30 * _DAY_MS
"""How long after `send_at` a notification may live."""


class NotificationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One notification as it is asked for."""

    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256, examples=["user-4711"])]
    """A recipient that was stored before; the caller's own name."""
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=128, examples=["order_shipped"])]
    """A type that was defined before."""
    priority: Annotated[Priority, msgspec.Meta(description="Left out, it is the type's.")] | None = None
    channels: (
        Annotated[
            tuple[Channel, ...],
            msgspec.Meta(min_length=1, max_length=5, description="In their order; left out, they are the type's."),
        ]
        | None
    ) = None
    data: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="What the template needs; at most 16 KiB, nested at most 8 deep.",
            examples=[{"order": "A-1234"}],
        ),
    ] = {}
    send_at: Moment | None = None
    """Not before this moment."""
    expires_at: Moment | None = None
    """Nothing is sent after this moment."""
    campaign: Name | None = None
    """The campaign that it belongs to, in your words: an operator can pause and resume it as one."""
    collapse_key: Key | None = None
    """A newer notification with the same key takes the place of one that still waits."""
    idempotency_key: Key | None = None
    """The same as the header `Idempotency-Key`: a repeat within 24 hours gets the first answer."""
    dry_run: bool = False
    """Answer what would happen and why, with the rendered message, and send nothing."""


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many notifications, each judged on its own."""

    notifications: Annotated[list[NotificationRequest], msgspec.Meta(min_length=1, max_length=1_000)]


class RawBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch whose items are not opened yet, so that a bad one is one error."""

    notifications: list[msgspec.Raw]


class _BatchShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    notifications: list[Any]


class AcceptedAnswer(msgspec.Struct, frozen=True):
    """It is durable and will be dealt with."""

    id: Annotated[str, msgspec.Meta(examples=["019aaf2c-4a7b-7c3e-9d53-5b1c2a90ee00"])]


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item's result: its id, or what was wrong with it."""

    id: str | None = None
    error: ProblemDetails | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """One result for each item, in order."""

    results: list[BatchResult]


class Times(msgspec.Struct, frozen=True, gc=False):
    """When a notification may leave and when it ends, in ms since the epoch; 0 leaves it to the type."""

    ready_at: int = 0
    expires_at: int = 0


NO_TIMES: Final = Times()
NO_DATA: Final = b"{}"

SINGLE: Final = msgspec.json.Decoder(NotificationRequest)
BATCH: Final = msgspec.json.Decoder(RawBatch)
_ENCODE: Final = msgspec.json.Encoder().encode


def data_of(request: NotificationRequest, limits: Limits, errors: list[FieldError]) -> bytes:
    """The request's `data` as compact JSON; what is wrong with it goes to `errors`."""
    if not request.data:
        return NO_DATA
    data = _ENCODE(request.data)
    if len(data) > limits.data_bytes:
        errors.append(
            FieldError("data", "too_large", f"it has {len(data):,} bytes of JSON, {limits.data_bytes:,} are taken")
        )
    elif data.count(b"{") + data.count(b"[") > limits.data_depth and _depth(request.data) > limits.data_depth:
        errors.append(FieldError("data", "too_deep", f"it is nested more than {limits.data_depth} deep"))
    return data


def times_of(request: NotificationRequest, limits: Limits, now: int, errors: list[FieldError]) -> Times:
    """The request's moments; what is wrong with them goes to `errors`."""
    if request.send_at is None and request.expires_at is None:
        return NO_TIMES
    horizon = now + limits.horizon_days * _DAY_MS
    ready_at = _moment("send_at", request.send_at, now - _PAST_MS, horizon, errors)
    expires_at = _moment("expires_at", request.expires_at, now, horizon + _LIFETIME_MS, errors)
    if expires_at and ready_at and expires_at <= ready_at and not errors:
        errors.append(FieldError("expires_at", "not_after_send_at", "it must be later than send_at"))
    return Times(ready_at if ready_at > now else 0, expires_at)


def key_of(request: NotificationRequest, header: bytes | None, errors: list[FieldError]) -> str | None:
    """The idempotency key of body or header; both may be there if they agree."""
    if header is None:
        return request.idempotency_key
    try:
        key = msgspec.convert(_structured_string(header), Key)
    except msgspec.ValidationError:
        errors.append(
            FieldError("Idempotency-Key", "invalid_format", "it takes 1 to 255 characters, no control characters")
        )
        return None
    if request.idempotency_key is not None and request.idempotency_key != key:
        errors.append(FieldError("idempotency_key", "mismatch", "it is another than the header Idempotency-Key"))
    return key


def refuse_repeats(request: NotificationRequest, errors: list[FieldError]) -> None:
    """A channel that is named twice is an error."""
    channels = request.channels
    if channels is not None and len(set(channels)) != len(channels):
        errors.append(FieldError("channels", "duplicate", "a channel is named twice"))


def raw_items(body: bytes, limits: Limits) -> list[msgspec.Raw]:
    """The items of a batch body, unopened. Raises Problem for a body that is no batch."""
    items = decode(BATCH, body, _BatchShape).notifications
    if len(items) > limits.batch_items:
        raise _batch_problem("too_many", f"it has {len(items):,} items, {limits.batch_items:,} are taken")
    if not items:
        raise _batch_problem("too_few", "it must have at least one item")
    return items


def _batch_problem(code: FieldCode, message: str) -> Problem:
    return invalid(FieldError("notifications", code, message))


def _moment(name: str, moment: datetime | None, earliest: int, latest: int, errors: list[FieldError]) -> int:
    if moment is None:
        return 0
    at = milliseconds(moment)
    if at < earliest:
        errors.append(FieldError(name, "in_the_past", "this moment has passed"))
    elif at > latest:
        errors.append(
            FieldError(name, "too_far_ahead", f"it lies more than {(latest - earliest) // _DAY_MS} days ahead")
        )
    return at


def _structured_string(header: bytes) -> str:
    """A header's value: a quoted string (RFC 8941, 3.3.3) without its quotes, or the bare text."""
    text = header.decode("latin-1").strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text


def _depth(value: Any) -> int:
    """How many lists and objects lie in one another; a plain value is 0."""
    level, depth = [value], 0
    while containers := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in containers for inner in _children(item)]
    return depth


def _children(item: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item
