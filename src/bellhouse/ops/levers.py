"""The routes of breakers, which an operator may force, and of the ledger."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal, assert_never

import msgspec
from litestar import Controller, get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from bellhouse.domain.levers import ActWord
from bellhouse.domain.words import Channel
from bellhouse.ports.clock import Clock
from bellhouse.ports.levers import AuditStore
from bellhouse.ports.store.insights import Insights, Ledger
from bellhouse.ports.store.providers import BreakerRow, BreakerState, BreakerStore, Forced
from bellhouse.web.acts import act_of, warnings_of
from bellhouse.web.problems import Problem
from bellhouse.web.rest import Given, StrictRequest, caller_of, needs, problems
from bellhouse.web.times import rfc3339, rfc3339_or_none

_TRIES: Final = 5
"""How often a change is tried again when a worker changed the breaker at the same moment."""

BreakerAct = Literal["open", "close", "reset"]
_ACTS: Final[Mapping[BreakerAct, ActWord]] = {
    "open": "breaker_open",
    "close": "breaker_close",
    "reset": "breaker_reset",
}
Breakers = Given[BreakerStore]
Acts = Given[AuditStore]
Reads = Given[Insights]
Time = Given[Clock]
ProviderChannels = Given[Mapping[str, tuple[Channel, ...]]]


class BreakerView(msgspec.Struct, frozen=True):
    """The breaker of a provider on a channel."""

    provider: str
    channel: Channel
    state: BreakerState
    forced: Forced
    """What an operator forces: it stays so until it is reset."""
    failures: int
    """Consecutive failures that were the provider's fault."""
    reason: str
    """Why it is not closed by itself: `failures`, or `silent`: it accepts messages and confirms none."""
    changed_at: str | None


class BreakersAnswer(msgspec.Struct, frozen=True):
    """Every breaker."""

    breakers: list[BreakerView]


class ForceAnswer(msgspec.Struct, frozen=True):
    """The provider's breakers as they are now, or would be."""

    breakers: list[BreakerView]
    outcome: Literal["changed", "unchanged"]
    dry_run: bool
    warnings: list[str]


class LedgerLineView(msgspec.Struct, frozen=True):
    """How many stand in a state: by the running counters and, where asked for, by counting the rows."""

    level: Literal["notification", "delivery"]
    state: str
    counted: int
    recounted: int | None


class LedgerCheckView(msgspec.Struct, frozen=True):
    """Two independent counts that must be equal."""

    name: str
    left: int
    right: int
    holds: bool


class LedgerAnswer(msgspec.Struct, frozen=True):
    """Where everything that was accepted and planned stands; `imbalance` is 0 where nothing is lost."""

    at: str
    accepted: int
    planned: int
    imbalance: int
    lines: list[LedgerLineView]
    checks: list[LedgerCheckView]


class BreakersController(Controller):
    """Circuit breakers."""

    path = "/v1/breakers"
    tags = ("Operations",)

    @get(guards=[needs("operate")], summary="Every breaker", operation_id="listBreakers", responses=problems())
    async def all(self, breaker_store: Breakers, provider_channels: ProviderChannels) -> BreakersAnswer:
        """One for each provider and channel, as all processes see it."""
        rows = await _rows(breaker_store, provider_channels)
        return BreakersAnswer([_view(row) for row in sorted(rows, key=lambda row: (row.channel, row.provider))])

    @post(
        "/{provider:str}/{act:str}",
        status_code=200,
        guards=[needs("operate")],
        summary="Force or reset a breaker",
        operation_id="forceBreaker",
        responses=problems("breaker_not_found", "changed_meanwhile", "validation_failed"),
    )
    async def force(
        self,
        provider: FromPath[str],
        act: FromPath[BreakerAct],
        request: StrictRequest,
        breaker_store: Breakers,
        provider_channels: ProviderChannels,
        audit_store: Acts,
        clock: Time,
        why: Annotated[
            str, QueryParameter(max_length=1_000, description="Why, for whoever comes after; kept with the act.")
        ] = "",
        dry_run: Annotated[bool, QueryParameter(description="Say what would change, and change nothing.")] = False,
    ) -> ForceAnswer:
        """`open`: nothing goes to this provider; `close`: everything, whatever fails; `reset`: by itself again."""
        now = clock.now()
        channels = await _channels(breaker_store, provider_channels, provider)
        before = [row for row in await _rows(breaker_store, provider_channels) if row.provider == provider]
        wanted = {row.channel: _forced(provider, row.channel, act, now, row.version + 1) for row in before}
        changed = any(_differs(row, wanted[row.channel]) for row in before)
        if changed and not dry_run:
            for channel in channels:
                await _change(breaker_store, provider, channel, act, now)
            words = _words(before), _words(wanted.values())
            await audit_store.record(act_of(caller_of(request), _ACTS[act], provider, now, why, *words))
        rows = wanted.values() if dry_run else await _rows(breaker_store, provider_channels)
        return ForceAnswer(
            [_view(row) for row in rows if row.provider == provider],
            "changed" if changed else "unchanged",
            dry_run,
            warnings_of(why),
        )


class LedgerController(Controller):
    """The ledger."""

    path = "/v1/ledger"
    tags = ("Operations",)

    @get(
        guards=[needs("read")], summary="The ledger", operation_id="getLedger", responses=problems("validation_failed")
    )
    async def show(
        self, request: StrictRequest, insights: Reads, clock: Time, recount: FromQuery[bool] = False
    ) -> LedgerAnswer:
        """Accepted and planned against every state: of the tenant, or of all for an `admin`."""
        caller = caller_of(request)
        tenant = None if caller.everywhere else caller.tenant
        return ledger_answer(await insights.ledger(tenant, clock.now(), recount))


def ledger_answer(ledger: Ledger) -> LedgerAnswer:
    """The ledger as it is shown."""
    return LedgerAnswer(
        rfc3339(ledger.at),
        ledger.accepted,
        ledger.planned,
        ledger.imbalance,
        [LedgerLineView(line.level, line.state, line.counted, line.recounted) for line in ledger.lines],
        [LedgerCheckView(check.name, check.left, check.right, check.holds) for check in ledger.checks],
    )


async def _rows(store: BreakerStore, known: Mapping[str, tuple[Channel, ...]]) -> list[BreakerRow]:
    """Every breaker: those with a history, and those of providers that were never used."""
    rows = {(row.provider, row.channel): row for row in await store.breakers()}
    for provider, channels in known.items():
        for channel in channels:
            rows.setdefault((provider, channel), BreakerRow(provider, channel))
    return list(rows.values())


async def _channels(store: BreakerStore, known: Mapping[str, tuple[Channel, ...]], provider: str) -> list[Channel]:
    channels = [row.channel for row in await _rows(store, known) if row.provider == provider]
    if not channels:
        raise Problem("breaker_not_found", f"There is no provider {provider[:64]!r}.")
    return channels


async def _change(store: BreakerStore, provider: str, channel: Channel, act: BreakerAct, now: int) -> None:
    for _ in range(_TRIES):
        rows = [row for row in await store.breakers() if (row.provider, row.channel) == (provider, channel)]
        version = rows[0].version if rows else 0
        if await store.change_breaker(_forced(provider, channel, act, now, version + 1), version):
            return
    raise Problem("changed_meanwhile")


def _forced(provider: str, channel: Channel, act: BreakerAct, now: int, version: int) -> BreakerRow:
    match act:
        case "open":
            return BreakerRow(provider, channel, "open", "open", now, version=version)
        case "close":
            return BreakerRow(provider, channel, "closed", "closed", now, version=version)
        case "reset":
            return BreakerRow(provider, channel, "closed", "none", now, version=version)
        case _:
            assert_never(act)


def _differs(row: BreakerRow, wanted: BreakerRow) -> bool:
    """Whether the act changes anything; a reset also forgets failures that were counted."""
    return (row.state, row.forced) != (wanted.state, wanted.forced) or (wanted.forced == "none" and row.failures > 0)


def _words(rows: Iterable[BreakerRow]) -> str:
    return ", ".join(f"{row.channel} {row.state}" + (" (forced)" if row.forced != "none" else "") for row in rows)


def _view(row: BreakerRow) -> BreakerView:
    reason = row.reason if row.state != "closed" and row.forced == "none" else ""
    return BreakerView(
        row.provider, row.channel, row.state, row.forced, row.failures, reason, rfc3339_or_none(row.changed_at)
    )
