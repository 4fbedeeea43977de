"""The dials: how each provider behaves, changed while the simulator runs."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bellhouse.simulator.receipts import PROVIDERS, Provider

Share = Annotated[float, Meta(ge=0, le=1)]
Millis = Annotated[float, Meta(ge=0, le=86_400_000)]


class Latency(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a call takes: always `min_ms`, anything between both, or log-normal cut to both (0 = no upper cut)."""

    kind: Literal["fixed", "uniform", "lognormal"] = "fixed"
    min_ms: Millis = 0
    max_ms: Millis = 0
    median_ms: Millis = 100
    sigma: Annotated[float, Meta(ge=0, le=5)] = 0.5

    def __post_init__(self) -> None:
        if self.kind == "uniform" and self.max_ms < self.min_ms:
            raise ValueError("max_ms must not be below min_ms")


class Throttle(Struct, frozen=True, forbid_unknown_fields=True):
    """At most `rate_per_second` calls (0 = no limit), a burst of `burst` (0 = one second's worth)."""

    rate_per_second: Annotated[float, Meta(ge=0)] = 0
    retry_after_s: Annotated[float, Meta(ge=0, le=86_400)] = 1
    burst: Annotated[int, Meta(ge=0)] = 0


class Delay(Struct, frozen=True, forbid_unknown_fields=True):
    """A uniform delay in milliseconds."""

    min: Millis = 0
    max: Millis = 0

    def __post_init__(self) -> None:
        if self.max < self.min:
            raise ValueError("max must not be below min")


class Dials(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every provider has; shares are probabilities from 0 to 1."""

    latency: Latency = Latency()
    errors: dict[str, Share] = {}
    throttle: Throttle = Throttle()
    outage: Literal["none", "refuse", "503", "hang"] = "none"
    lost_answers: Share = 0
    lost_answer_mode: Literal["close", "hang"] = "close"
    dead_tokens: frozenset[str] = frozenset()
    dead_token_share: Share = 0
    callbacks: bool = True
    callback_delay_ms: Delay = Delay()
    callback_duplicates: Share = 0
    callback_disorder: Share = 0
    callback_loss: Share = 0
    callback_failures: dict[str, Share] = {}
    callback_retry_ms: Annotated[float, Meta(ge=1, le=3_600_000)] = 500
    callback_retry_for_ms: Annotated[float, Meta(ge=0, le=86_400_000)] = 600_000
    clock_ahead_s: Annotated[float, Meta(ge=-86_400, le=86_400)] = 0


class FcmDials(Dials, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """FCM: life of an access token; calls before an HTTP/2 connection is told to go, and the project's quota per
    clock minute (0 = none; the real quota is 600,000).
    """

    token_lifetime_s: Annotated[float, Meta(gt=0, le=86_400)] = 3600
    calls_per_connection: Annotated[int, Meta(ge=0)] = 0
    quota_per_minute: Annotated[int, Meta(ge=0)] = 0


class SendgridDials(Dials, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """SendGrid: how events are gathered into one POST."""

    event_batch_ms: Millis = 100
    event_batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 500


class SmsDials(Dials, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Twilio and Vonage: the money that is put into the account."""

    balance: Annotated[float, Meta(ge=0)] = 1_000_000


class SmtpDials(Dials, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """SMTP: greylisting, mails before a 421 (0 = no limit), and what the EHLO menu leaves out."""

    greylist_ms: Millis = 0
    mails_per_connection: Annotated[int, Meta(ge=0)] = 0
    hidden_extensions: frozenset[Literal["PIPELINING", "STARTTLS", "AUTH", "SIZE", "8BITMIME"]] = frozenset()


_KINDS: Mapping[Provider, type[Dials]] = {
    "fcm": FcmDials,
    "sendgrid": SendgridDials,
    "twilio": SmsDials,
    "vonage": SmsDials,
    "smtp": SmtpDials,
}


class DialError(Exception):
    """A setting that no dial takes; `field` is its dotted name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Mix:
    """A choice among named outcomes by probability; None is what remains to 1."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        named = [(name, share) for name, share in shares.items() if share > 0]
        self._names = [name for name, _ in named]
        self._edges = list(accumulate(share for _, share in named))

    def __bool__(self) -> bool:
        return bool(self._names)

    def pick(self, point: float) -> str | None:
        """The outcome at `point` (0 ≤ point < 1)."""
        at = bisect_right(self._edges, point)
        return self._names[at] if at < len(self._names) else None


class Board:
    """Every provider's dials, and who wants to hear of a change."""

    def __init__(
        self,
        error_names: Mapping[Provider, Iterable[str]],
        failure_names: Mapping[Provider, Iterable[str]],
    ) -> None:
        self._errors = {name: frozenset(names) for name, names in error_names.items()}
        self._failures = {name: frozenset(names) for name, names in failure_names.items()}
        self._current: dict[Provider, Dials] = {name: _KINDS[name]() for name in PROVIDERS}
        self._listeners: dict[Provider, list[Callable[[Dials], None]]] = {name: [] for name in PROVIDERS}

    def listen(self, provider: Provider, listener: Callable[[Dials], None]) -> None:
        """Call `listener` with the provider's dials, now and after every change."""
        self._listeners[provider].append(listener)
        listener(self._current[provider])

    def all(self) -> dict[Provider, Dials]:
        """The dials as they stand."""
        return dict(self._current)

    def get(self, provider: Provider) -> Dials:
        """One provider's dials."""
        return self._current[provider]

    def turn(self, provider: Provider, patch: object) -> Dials:
        """Merge `patch` (RFC 7396: null goes back to the default) and return the result; raises DialError."""
        if not isinstance(patch, dict):
            raise DialError("", "the body must be a JSON object of dials")
        merged = _merged(msgspec.to_builtins(self._current[provider]), patch)
        try:
            dials = msgspec.convert(merged, _KINDS[provider])
        except msgspec.ValidationError as error:
            raise _dial_error(str(error)) from error
        _check_mix("errors", dials.errors, self._errors[provider])
        _check_mix("callback_failures", dials.callback_failures, self._failures[provider])
        self._set(provider, dials)
        return dials

    def reset(self) -> None:
        """Everything back to the defaults."""
        for provider in PROVIDERS:
            self._set(provider, _KINDS[provider]())

    def _set(self, provider: Provider, dials: Dials) -> None:
        self._current[provider] = dials
        for listener in self._listeners[provider]:
            listener(dials)


def _merged(target: object, patch: object) -> object:
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = _merged(out.get(key), value)
    return out


def _check_mix(field: str, mix: Mapping[str, float], known: frozenset[str]) -> None:
    for name in mix:
        if name not in known:
            raise DialError(f"{field}.{name}", f"unknown name; known here: {', '.join(sorted(known))}")
    if sum(mix.values()) > 1 + 1e-9:
        raise DialError(field, "the probabilities add up to more than 1")


_PATH = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$\.?(?P<path>[^`]*)`)?$", re.S)
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def _dial_error(text: str) -> DialError:
    """msgspec's message with the name of the field it speaks of."""
    match = _PATH.match(text)
    assert match is not None
    path, what = match["path"] or "", match["what"]
    unknown = _UNKNOWN.search(what)
    if unknown:
        path = f"{path}.{unknown[1]}" if path else unknown[1]
    return DialError(path, what)
