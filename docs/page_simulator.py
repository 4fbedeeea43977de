"""The page `docs/reference/simulator.md`: its dials and errors are taken from the simulator itself."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

import msgspec

from bellhouse.simulator import fcm, sendgrid, smtp, twilio, vonage
from bellhouse.simulator.dials import Delay, Dials, FcmDials, Latency, SendgridDials, SmsDials, SmtpDials, Throttle
from bellhouse.simulator.receipts import PROVIDERS, VERDICTS

_MODULES: Final[Mapping[str, Any]] = {
    "fcm": fcm,
    "sendgrid": sendgrid,
    "twilio": twilio,
    "vonage": vonage,
    "smtp": smtp,
}

MEANINGS: Final[Mapping[str, str]] = {
    "latency": "How long a call takes.",
    "latency.kind": "Always `min_ms`, anything evenly between `min_ms` and `max_ms`, or log-normal cut to both.",
    "latency.min_ms": "The shortest, or the fixed one.",
    "latency.max_ms": "The longest; 0 does not cut a log-normal one.",
    "latency.median_ms": "The median of a log-normal one.",
    "latency.sigma": "Its spread.",
    "errors": "Shares of calls that meet an error, by its name below; the rest is taken.",
    "throttle": "How many calls are let in.",
    "throttle.rate_per_second": "Calls a second; 0 does not limit.",
    "throttle.retry_after_s": "What a refused call is told to wait.",
    "throttle.burst": "How many at once; 0 is a second's worth.",
    "outage": "`refuse` closes the port, `503` answers that to everything, `hang` answers nothing.",
    "lost_answers": "The share of accepted calls whose answer is lost: their outcome is unknown to the caller.",
    "lost_answer_mode": "Whether the connection of a lost answer closes or hangs.",
    "dead_tokens": "Tokens, addresses or numbers that are dead.",
    "dead_token_share": "The share of all of them that is dead; the same ones always are.",
    "callbacks": "Whether callbacks are sent.",
    "callback_delay_ms": "How long each takes.",
    "callback_delay_ms.min": "The shortest.",
    "callback_delay_ms.max": "The longest.",
    "callback_duplicates": "The share that is sent twice.",
    "callback_disorder": "The share of messages whose callbacks come in another order.",
    "callback_loss": "The share that is never sent.",
    "callback_failures": "Shares of accepted messages that meet a fate later, by its name below.",
    "callback_retry_ms": "The first wait before a refused callback is repeated.",
    "callback_retry_for_ms": "How long it is repeated.",
    "clock_ahead_s": "How far the `Date` of its answers over HTTP/1.1 is ahead of the machine's clock.",
    "balance": "The money in the account when this is turned; each accepted message is paid from it, and none is taken "
    "without it.",
    "token_lifetime_s": "Life of an OAuth access token.",
    "calls_per_connection": "Calls before an HTTP/2 connection is told to go (GOAWAY); 0 never.",
    "quota_per_minute": "The project's quota for each minute of the clock; 0 has none.",
    "event_batch_ms": "How long events are gathered for one POST.",
    "event_batch_size": "How many events one POST has at most.",
    "greylist_ms": "How long an unknown sender and recipient are told to come back; 0 never.",
    "mails_per_connection": "Mails before a 421; 0 never.",
    "hidden_extensions": "What the answer to EHLO leaves out.",
}

_INTRODUCTION: Final = """\
# The provider simulator

Made from the code by `make docs`. `bellhouse simulator` is the outside world in one process, on loopback: FCM HTTP v1
with OAuth over TLS and HTTP/2, SendGrid v3, Twilio Messages, Vonage SMS and an SMTP relay with STARTTLS, in the
vendors' own formats with their own error bodies, and with signed callbacks. It shares no code with the providers that
speak to it. How to use it: [howto/use-the-simulator.md](../howto/use-the-simulator.md).

## Ports

`--port N` (9100) is its own API, and answers every HTTP provider's paths too; N + 1 to N + 4 are `fcm`, `sendgrid`,
`twilio` and `vonage` alone, N + 5 is TLS, N + 6 SMTP. `--port 0` takes free ones and says which, in one line of JSON.

## Its own API

| route | what it does |
| --- | --- |
| `GET /healthz` | answers while it runs |
| `GET /credentials` | accounts, keys, addresses and its certificate authority; `serve --simulator URL` asks for them |
| `GET /dials`, `GET /dials/{provider}` | how every provider behaves now |
| `PUT /dials/{provider}` | changes those dials that the body names (RFC 7396); `null` is a dial's default |
| `GET /receipts?since=N` | NDJSON, one line for each message that it has answered, numbered above N |
| `GET /receipts/summary` | counts by provider and verdict, distinct accepted delivery ids, and repeats |
| `GET /callbacks/pending` | callbacks that are due, waiting to be repeated, sent, given up |
| `GET /account`, `PUT /account` | `callback_base_url`: where SendGrid's events, device receipts and mail reports go |
| `POST /reset` | dials at their defaults; receipts, tokens and pending callbacks gone |

`bellhouse simulator dial|dials|receipts|reset` speak to it from the command line.

## Receipts

```json
{"seq": 1, "at": "2026-11-23T05:00:00.123Z", "provider": "fcm", "verdict": "accepted",
 "notification_id": "…", "delivery_id": "…", "attempt": 1, "to": "adas-phone"}
```

A million are kept in memory; `--receipts FILE` appends every one to a file as well. `accepted_answer_lost` was taken
and its answer never reached the caller: the ids in these lines are what a test compares its own books with."""


_NAMES: Final = "Names for `errors` and `callback_failures`; every error with the verdict of its receipts."


def page() -> str:
    """The page's text."""
    return "\n".join(_lines()) + "\n"


def dials_of(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every dial of a struct with its default, those inside of it too."""
    for field in msgspec.structs.fields(kind):
        default = _default(field)
        if isinstance(default, Latency | Throttle | Delay):
            yield prefix + field.encode_name, ""
            yield from dials_of(type(default), f"{prefix}{field.encode_name}.")
        else:
            yield prefix + field.encode_name, msgspec.json.encode(default, order="sorted").decode()


def _default(field: msgspec.structs.FieldInfo) -> object:
    factory: Any = field.default_factory
    return factory() if factory is not msgspec.NODEFAULT else field.default


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield from ("", "Verdicts: " + ", ".join(f"`{verdict}`" for verdict in VERDICTS) + ".")
    yield from ("", "## Dials", "", "Shares are from 0 to 1.", "", *_table(dict(dials_of(Dials))))
    common = {name for name, _ in dials_of(Dials)}
    for name, kind in (
        ("fcm", FcmDials),
        ("sendgrid", SendgridDials),
        ("smtp", SmtpDials),
        ("twilio", SmsDials),
        ("vonage", SmsDials),
    ):
        own = {dial: default for dial, default in dials_of(kind) if dial not in common}
        yield from ("", f"Only `{name}`:", "", *_table(own))
    yield from (
        "",
        "## Errors and fates",
        "",
        _NAMES,
    )
    for provider in PROVIDERS:
        module = _MODULES[provider]
        errors = ", ".join(f"`{name}` ({verdict.replace('_', ' ')})" for name, (_, verdict) in module.ERRORS.items())
        yield from ("", f"**{provider}** errors: {errors}.", "")
        yield f"Fates: {', '.join(f'`{name}`' for name in module.FAILURES)}."


def _table(dials: Mapping[str, str]) -> Iterator[str]:
    yield from ("| dial | default | what it does |", "| --- | --- | --- |")
    for name, default in dials.items():
        yield f"| `{name}` | {f'`{default}`' if default else ''} | {MEANINGS[name]}{_choices(name)} |"


def _choices(name: str) -> str:
    words = {"outage": Dials, "lost_answer_mode": Dials}
    if name not in words:
        return ""
    field = next(each for each in msgspec.structs.fields(words[name]) if each.name == name)
    return " " + " ".join(f"`{word}`" for word in get_args(field.type)) + "."
