"""The routes of providers: what each is, and whether its account works."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import msgspec
from litestar import Controller, get, post
from litestar.params import FromPath

from bellhouse.domain.attempt import Accepted, Permanent, Retry, Throttled, TokenInvalid, Unknown, Verdict, name_of
from bellhouse.domain.levers import Levers
from bellhouse.domain.words import Channel
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import LeverReader
from bellhouse.ports.provider import Sheet, Trial, TrialOf
from bellhouse.ports.store.providers import BreakerRow, BreakerState, BreakerStore, Forced
from bellhouse.web.problems import Problem
from bellhouse.web.rest import Given, needs, problems

RateSource = Literal["lever", "setting", "provider", "none"]


class Known(msgspec.Struct, frozen=True):
    """What is known of a provider without asking it."""

    name: str
    sheet: Sheet | None
    """None where it is not configured."""
    channels: tuple[Channel, ...] = ()
    """Those that it serves here; none where it is not in use."""
    first_on: tuple[Channel, ...] = ()
    """Those on which the settings put it first."""
    rate: float | None = None
    """Messages a second by the settings."""


class Desk(msgspec.Struct, frozen=True):
    """What this server knows of providers, and how it tries them."""

    known: Sequence[Known] = ()
    try_out: Callable[[str], Awaitable[Sequence[Trial] | None]] | None = None
    """Tries a configured provider; None where it is one through which nothing leaves this machine."""


Providers = Given[Desk]
Breakers = Given[BreakerStore]
LeverRows = Given[LeverReader]
Time = Given[Clock]


class ChannelView(msgspec.Struct, frozen=True):
    """A provider on one of its channels."""

    channel: Channel
    preferred: bool
    """Whether it comes first."""
    preferred_by: Literal["lever", "setting", "none"]
    breaker: BreakerState
    forced: Forced


class ProviderView(msgspec.Struct, frozen=True):
    """A provider: what it can do, and how it stands."""

    name: str
    enabled: bool
    """Whether the settings use it."""
    channels: list[ChannelView]
    rate: float | None
    """Messages a second for the whole deployment; None where there is no limit."""
    rate_from: RateSource
    confirms: bool | None
    """Whether it reports what became of a message; None where it is not configured."""
    status_page: str | None


class ProvidersAnswer(msgspec.Struct, frozen=True):
    """Every provider that this server knows."""

    providers: list[ProviderView]


class TrialView(msgspec.Struct, frozen=True):
    """One call that sent nothing to anybody."""

    of: TrialOf
    works: bool
    verdict: str
    code: str
    duration_ms: float
    said: str
    remedy: str
    """What to do where it does not work."""


class TestAnswer(msgspec.Struct, frozen=True):
    """Whether a provider's account works now."""

    provider: str
    works: bool
    trials: list[TrialView]
    status_page: str | None


class ProvidersController(Controller):
    """Providers."""

    path = "/v1/providers"
    tags = ("Operations",)

    @get(guards=[needs("operate")], summary="Every provider", operation_id="listProviders", responses=problems())
    async def all(
        self, provider_desk: Providers, breaker_store: Breakers, lever_store: LeverRows, clock: Time
    ) -> ProvidersAnswer:
        """Channels, rate and where that comes from, breakers, whether it comes first, and whether it confirms."""
        levers, now = await lever_store.levers(), clock.now()
        held = msgspec.structs.replace(levers, rows=tuple(lever for lever in levers.rows if lever.holds(now)))
        rows = {(row.provider, row.channel): row for row in await breaker_store.breakers()}
        return ProvidersAnswer([_view(known, held, rows) for known in provider_desk.known])

    @post(
        "/{name:str}/test",
        status_code=200,
        guards=[needs("operate")],
        summary="Test a provider",
        operation_id="testProvider",
        responses=problems("provider_not_found"),
    )
    async def test(self, name: FromPath[str], provider_desk: Providers) -> TestAnswer:
        """Call it with this server's credentials in ways that send nothing to anybody."""
        known = next((known for known in provider_desk.known if known.name == name and known.channels), None)
        if known is None or known.sheet is None or provider_desk.try_out is None:
            names = ", ".join(known.name for known in provider_desk.known if known.channels)
            raise Problem("provider_not_found", f"No provider {name[:64]!r} is in use; these are: {names}.")
        trials = [_trial(name, trial) for trial in await provider_desk.try_out(name) or ()]
        return TestAnswer(name, all(trial.works for trial in trials), trials, known.sheet.status_page)


def _view(known: Known, levers: Levers, breakers: Mapping[tuple[str, Channel], BreakerRow]) -> ProviderView:
    rate, source = _rate(known, levers)
    channels = [_channel(known, channel, levers, breakers.get((known.name, channel))) for channel in known.channels]
    sheet = known.sheet
    confirms, page = (None, None) if sheet is None else (sheet.confirms, sheet.status_page)
    return ProviderView(known.name, bool(known.channels), channels, rate, source, confirms, page)


def _channel(known: Known, channel: Channel, levers: Levers, row: BreakerRow | None) -> ChannelView:
    row = row or BreakerRow(known.name, channel)
    lever = levers.find("prefer", channel)
    if lever is not None:
        first = lever.value == known.name
        return ChannelView(channel, first, "lever" if first else "none", row.state, row.forced)
    first = channel in known.first_on
    return ChannelView(channel, first, "setting" if first else "none", row.state, row.forced)


def _rate(known: Known, levers: Levers) -> tuple[float | None, RateSource]:
    lever = levers.find("rate", known.name)
    if lever is not None:
        return float(lever.value), "lever"
    if known.rate is not None:
        return known.rate, "setting"
    own = None if known.sheet is None else known.sheet.rate_per_second
    return own, "none" if own is None else "provider"


def _trial(name: str, trial: Trial) -> TrialView:
    verdict = trial.verdict
    works = isinstance(verdict, Accepted)
    said = trial.said or ("" if isinstance(verdict, Accepted | Throttled) else verdict.reason)
    remedy = "" if works else _remedy(name, trial.of, verdict)
    duration = round(trial.seconds * 1000, 1)
    return TrialView(trial.of, works, name_of(verdict), verdict.code, duration, said, remedy)


def _remedy(name: str, of: TrialOf, verdict: Verdict) -> str:
    """What to do about a trial that did not work."""
    if of == "balance":
        return f"Top up the account at {name}, and prefer another provider meanwhile."
    match verdict:
        case Throttled():
            return f"{name} asks for a slower pace: set one with `bellhouse rate set {name} RATE`."
        case Retry(code="connect") | Unknown(code="timeout"):
            return f"{name} cannot be reached from here: look at its status page, then at DNS, proxies and firewalls."
        case Retry() | Unknown():
            return f"{name} fails: look at its status page, and prefer another provider meanwhile."
        case Permanent() | TokenInvalid():
            return f"{name} refuses what we send: check providers.{name} in the settings, the sender above all."
        case _:
            return f"{name} refuses our account: check the credentials in providers.{name}, then restart."
