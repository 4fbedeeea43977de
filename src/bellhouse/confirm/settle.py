"""Settles news: groups what callbacks bring into one transaction, and follows up on bounces, complaints and STOP."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from bellhouse.confirm.tracing import called_back
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.trace import is_sampled
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import News
from bellhouse.ports.store.confirm import Concerned, Confirmed, ConfirmStore, NewsRow
from bellhouse.ports.store.deliver import Retirement, Suppression
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Telemetry
from bellhouse.ports.tracing import NO_TRACING, Tracing

_encode: Final = msgspec.msgpack.Encoder().encode
_MAX_WAITING: Final = 20_000
"""News that may wait for their commit; beyond it a callback is refused, and its provider repeats it."""

_MOST: Final = 300
"""News a transaction: a few milliseconds, since others wait for the writers' lock and for this loop."""
_COMPLAINTS: Final = ("complaint", "spamreport")


def _unheard(_: str) -> None:
    """Nobody listens."""


class NewsBusy(Exception):
    """More news than can be written: answer 503 with Retry-After, the provider repeats the callback."""


class NewsSettler:
    """Takes the news of many callbacks and makes them durable together, a transaction a provider; each caller waits
    for its own commit.

    What arrived while the last commit ran is the next one's batch: no timer, no queue of its own.
    """

    def __init__(
        self,
        store: ConfirmStore,
        clock: Clock,
        telemetry: Telemetry,
        heard: Callable[[str], None] = _unheard,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        """`heard` is told which providers have news of messages of ours."""
        self._store = store
        self._heard = heard
        self._clock = clock
        self._telemetry = telemetry
        self._tracing = tracing
        self._waiting: list[tuple[str, Sequence[News], asyncio.Future[None]]] = []
        self._count = 0
        self._flushing = False

    async def settle(self, provider: str, news: Sequence[News]) -> None:
        """Return when this news is durable. Raises NewsBusy, or StoreUnavailable (nothing was written)."""
        if self._count + len(news) > _MAX_WAITING:
            raise NewsBusy
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((provider, news, done))
        self._count += len(news)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._start)
        await done

    def _start(self) -> None:
        self._task = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            self._count = 0
            try:
                await self._write(taken)
            except Exception as error:
                # Whoever waits answers its provider with an error, and the provider repeats.
                for _, _, done in taken:
                    if not done.done():
                        done.set_exception(error if isinstance(error, StoreUnavailable) else NewsBusy(str(error)))
            else:
                for _, _, done in taken:
                    if not done.done():
                        done.set_result(None)
            await self._clock.sleep(0)
        self._flushing = False

    async def _write(self, taken: Sequence[tuple[str, Sequence[News], "asyncio.Future[None]"]]) -> None:
        rows: dict[str, list[NewsRow]] = defaultdict(list)
        effects: list[tuple[str, News]] = []
        for provider, news, _ in taken:
            for item in news:
                if item.kind is not None and item.delivery_id is not None:
                    rows[provider].append(_row(provider, item))
                elif item.effect == "none":
                    self._telemetry.callbacks(provider, "ignored")
                if item.effect != "none" or item.reason == "opt_in":
                    effects.append((provider, item))
        if effects:
            await self._follow_up(effects)
        for provider, own in rows.items():
            for first in range(0, len(own), _MOST):
                await self._settle(provider, own[first : first + _MOST])

    async def _settle(self, provider: str, rows: Sequence[NewsRow]) -> None:
        began = self._clock.monotonic()
        result = await self._store.news(rows)
        if result.unmatched < len(rows):
            self._heard(provider)
        if self._tracing.on:
            self._tracing.emit(called_back(rows, (*result.moved, *result.early), began, self._clock))
            self._keep(result.moved)
        self._measure(provider, result.moved, rows)
        self._telemetry.callbacks(provider, "applied", len(rows) - result.repeated - result.unmatched)
        self._telemetry.callbacks(provider, "duplicate", result.repeated)
        self._telemetry.callbacks(provider, "unmatched", result.unmatched)
        await self._clock.sleep(0)

    def _keep(self, moved: Sequence[Confirmed]) -> None:
        """Ask for the traces of what failed or took long, and is not recorded; nobody waits for low."""
        now = self._clock.now()
        for one in moved:
            notification = one.notification
            long = notification.priority != "low" and self._tracing.is_slow(now - one.ready_at)
            if (one.after == "failed" or long) and not is_sampled(notification.traceparent):
                self._tracing.keep(notification.id)

    def _measure(self, provider: str, moved: Sequence[Confirmed], rows: Sequence[NewsRow]) -> None:
        at = {row.delivery: row.at for row in rows}
        now = self._clock.now()
        delivered = [c for c in moved if c.after == "delivered"]
        for (channel, kind), count in Counter((c.channel, c.notification.type) for c in delivered).items():
            self._telemetry.delivered(channel, kind, count)
        took = defaultdict(list)
        for c in delivered:
            took[c.channel, c.notification.priority].append(max(0, now - c.ready_at) / 1000)
        for (channel, priority), seconds in took.items():
            self._telemetry.end_to_end(channel, priority, seconds)
        self._telemetry.callback_delay(provider, [max(0, now - at[c.delivery]) / 1000 for c in moved])

    async def _follow_up(self, effects: Sequence[tuple[str, News]]) -> None:
        """Suppress, lift and retire what the news is about, for the tenants whom it concerns."""
        known = await self._store.recipients_of([n.delivery_id for _, n in effects if n.delivery_id is not None])
        everyone: Sequence[TenantNo] = ()
        if any(news.delivery_id is None for _, news in effects):
            everyone = await self._store.every_tenant()
        suppressions: list[Suppression] = []
        lifted: list[Suppression] = []
        retirements: list[Retirement] = []
        for provider, news in effects:
            concerned = known.get(news.delivery_id) if news.delivery_id is not None else None
            if news.effect == "retire":
                if concerned is not None:
                    retirements.append(Retirement(concerned.recipient, concerned.contact, news.reason or provider))
                continue
            stops = _stops(provider, news, concerned, everyone, self._clock.now())
            (lifted if news.reason == "opt_in" else suppressions).extend(stops)
        if suppressions or lifted or retirements:
            await self._store.follow_up(suppressions, lifted, retirements)


def _stops(
    provider: str, news: News, concerned: Concerned | None, everyone: Sequence[TenantNo], now: int
) -> list[Suppression]:
    """What news stops or lifts. A STOP answers the account's sender, whoever wrote last: it stops every tenant's."""
    address = news.address or (concerned.address if concerned is not None else "")
    owner = (concerned.tenant,) if concerned is not None else ()
    tenants = everyone if news.delivery_id is None else owner
    detail = f"{provider}: {news.reason or news.effect}"
    return [Suppression(tenant, address, _word(news), now, detail) for tenant in tenants if address]


def _word(news: News) -> str:
    """The suppression's reason; the provider's own words are its detail."""
    if news.effect == "opt_out" or news.reason == "opt_in":
        return "opt_out"
    return "complaint" if news.reason in _COMPLAINTS else "bounce"


def _row(provider: str, news: News) -> NewsRow:
    assert news.delivery_id is not None
    assert news.kind is not None
    digest = blake2b(f"{provider}:{news.event_id}".encode(), digest_size=8).digest()
    detail = Detail(
        reason=news.reason,
        provider=provider,
        attempt=news.attempt,
        code=news.code,
        news=news.kind,
        price=news.price or 0.0,
    )
    n = int.from_bytes(digest) >> 1
    return NewsRow(news.delivery_id, n, news.attempt, news.kind, news.at, _encode(detail))
