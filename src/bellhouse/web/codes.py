"""The closed lists of error codes: what each means and what to do; `docs/reference/errors.md` is made from here."""

from typing import Final, Literal, get_args

import msgspec

ProblemCode = Literal[
    "malformed_json",
    "not_utf8",
    "invalid_cursor",
    "unauthorized",
    "forbidden",
    "not_found",
    "notification_not_found",
    "recipient_not_found",
    "suppression_not_found",
    "type_not_found",
    "template_not_found",
    "breaker_not_found",
    "provider_not_found",
    "method_not_allowed",
    "request_timeout",
    "too_late_to_cancel",
    "changed_meanwhile",
    "body_too_large",
    "unsupported_media_type",
    "validation_failed",
    "idempotency_key_reused",
    "rate_limited",
    "bad_request",
    "internal_error",
    "degraded",
    "busy",
    "store_unavailable",
    "outcome_unknown",
    "too_many_connections",
    "not_ready",
]

FieldCode = Literal[
    "required",
    "unknown_field",
    "wrong_type",
    "not_allowed",
    "too_long",
    "too_short",
    "too_many",
    "too_few",
    "too_large",
    "too_small",
    "too_deep",
    "invalid_format",
    "duplicate",
    "mismatch",
    "unknown_type",
    "unknown_recipient",
    "unknown_template",
    "unknown_zone",
    "invalid_contact",
    "in_the_past",
    "too_far_ahead",
    "not_after_send_at",
    "not_in_batch",
    "template_error",
    "missing_variable",
]


class Meaning(msgspec.Struct, frozen=True):
    """What a problem code means: its HTTP status, a title, and what the caller can do."""

    status: int
    title: str
    remedy: str


PROBLEMS: Final[dict[ProblemCode, Meaning]] = {
    "malformed_json": Meaning(
        400, "The body is not JSON", "Send one JSON value (RFC 8259); the detail says where it breaks."
    ),
    "not_utf8": Meaning(400, "The body is not UTF-8", "Encode the body as UTF-8, without a byte order mark."),
    "invalid_cursor": Meaning(
        400, "The cursor is not ours", "Pass `next` of the page before, unchanged, or leave it out."
    ),
    "bad_request": Meaning(400, "The request cannot be read", "Send a request that follows HTTP/1.1 (RFC 9112)."),
    "unauthorized": Meaning(
        401,
        "No valid API key",
        "Send `Authorization: Bearer bh_…` with a key that has not been revoked; `bellhouse keys create` makes one.",
    ),
    "forbidden": Meaning(
        403,
        "The key lacks a scope",
        "Use a key with the scope that the detail names; `bellhouse keys create --scope` makes one.",
    ),
    "not_found": Meaning(404, "Nothing is here", "Compare the path with the reference at /docs."),
    "notification_not_found": Meaning(
        404,
        "No such notification",
        "Check the id, and that the key belongs to the tenant and environment that sent it.",
    ),
    "recipient_not_found": Meaning(
        404, "No such recipient", "Create the recipient with `PUT /v1/recipients/{user_id}` first."
    ),
    "suppression_not_found": Meaning(
        404, "The address is not suppressed", "There is nothing to lift for this address."
    ),
    "type_not_found": Meaning(404, "No such type", "Define the type with `PUT /v1/types/{type}` first."),
    "template_not_found": Meaning(
        404,
        "No such template",
        "Store the template with `PUT /v1/templates/{name}` first, or ask for a version that exists.",
    ),
    "provider_not_found": Meaning(404, "No such provider", "`GET /v1/providers` lists those that are in use."),
    "breaker_not_found": Meaning(404, "No such breaker", "`GET /v1/breakers` lists the providers that have one."),
    "method_not_allowed": Meaning(
        405, "The path does not know this method", "Use one of the methods in the `Allow` header."
    ),
    "request_timeout": Meaning(
        408, "The request took too long to arrive", "Send head and body without pauses; try again."
    ),
    "too_late_to_cancel": Meaning(
        409,
        "It is too late to cancel",
        "Nothing of it waits any more; `GET /v1/notifications/{id}` says what was sent.",
    ),
    "changed_meanwhile": Meaning(
        409, "Somebody changed it at the same moment", "Read it again and repeat the request."
    ),
    "body_too_large": Meaning(
        413, "The body is too large", "Send less: the detail names the limit; cut a batch in two."
    ),
    "unsupported_media_type": Meaning(
        415, "The body is not declared as JSON", "Send `Content-Type: application/json`."
    ),
    "validation_failed": Meaning(
        422, "Some fields are not valid", "Mend each field that `errors` names; nothing of it was accepted."
    ),
    "idempotency_key_reused": Meaning(
        422,
        "The idempotency key was used for another body",
        "Repeat the first request byte for byte, or choose a new key for what is new.",
    ),
    "rate_limited": Meaning(
        429, "Too many notifications at once", "Wait as `Retry-After` says, then send more slowly."
    ),
    "internal_error": Meaning(
        500, "We made a mistake", "Try again; report it with the time of the request if it stays."
    ),
    "degraded": Meaning(
        503,
        "Only more urgent notifications are accepted now",
        "It was not accepted: wait as `Retry-After` or the detail says, then send it again with the same key.",
    ),
    "busy": Meaning(
        503,
        "Too many requests wait for their commit",
        "Nothing was accepted: wait as `Retry-After` says, then try again.",
    ),
    "store_unavailable": Meaning(
        503,
        "The store cannot write",
        "Nothing was accepted: the detail says what its operator must do; try again later.",
    ),
    "outcome_unknown": Meaning(
        503,
        "The store went away before it had answered",
        "It may have been done or not: send it again with the same idempotency key, and it is done once; without one, "
        "look first.",
    ),
    "too_many_connections": Meaning(
        503, "Too many connections", "Keep fewer connections and reuse them; wait as `Retry-After` says."
    ),
    "not_ready": Meaning(503, "Not ready", "The detail names what is missing; wait, or ask the operator."),
}

FIELDS: Final[dict[FieldCode, str]] = {
    "required": "The field is missing.",
    "unknown_field": "There is no field of this name here; the message lists those that there are.",
    "wrong_type": "The value is of another JSON type than this field takes.",
    "not_allowed": "The value is not among those that this field takes.",
    "too_long": "The text or the list is longer than this field takes.",
    "too_short": "The text or the list is shorter than this field takes.",
    "too_many": "There are more items than a request may have.",
    "too_few": "There are fewer items than a request must have.",
    "too_large": "The value is larger than this field takes.",
    "too_small": "The value is smaller than this field takes.",
    "too_deep": "The value is nested deeper than this field takes.",
    "invalid_format": "The value does not follow the form that the message names.",
    "duplicate": "The same value is there twice.",
    "mismatch": "Two places that must agree say different things.",
    "unknown_type": "The tenant has no notification type of this name.",
    "unknown_recipient": "The tenant has no recipient of this `user_id`.",
    "unknown_template": "The tenant has no template of this name.",
    "unknown_zone": "It is no IANA time zone such as Europe/Paris.",
    "invalid_contact": "It is no usable address of this channel; the message says why.",
    "in_the_past": "The moment has passed.",
    "too_far_ahead": "The moment lies further ahead than is kept.",
    "not_after_send_at": "It would expire before it may be sent.",
    "not_in_batch": "This is for single requests only.",
    "template_error": "The template's source cannot be compiled or rendered; the message says where.",
    "missing_variable": "The template needs a variable that the data does not have.",
}

PROBLEM_CODES: Final[tuple[ProblemCode, ...]] = get_args(ProblemCode)
FIELD_CODES: Final[tuple[FieldCode, ...]] = get_args(FieldCode)
