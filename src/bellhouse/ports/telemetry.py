"""What the house tells its operators: counters, durations, log lines and shared gauges, batch-first and typed.

Every method of Telemetry takes a count or a whole batch of values, because its cost (under a microsecond a call, and
some 50 ns a value) is meant to be paid once for a batch. None raises, none waits, all may be called from any thread.
A label value outside its list becomes `other`; `register` extends the lists that may grow, up to their limit.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from bellhouse.domain.attempt import AttemptStatus, VerdictName
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.log import Lag

Stage = Literal["ingest", "outbox", "route", "deliver", "due", "confirm"]
BreakerState = Literal["closed", "open", "half_open"]
CallbackOutcome = Literal["applied", "duplicate", "ignored", "unmatched", "refused", "malformed"]
"""What became of a callback's event: it changed something; it was known already; it says nothing that we keep; its
delivery is unknown to us; its signature was wrong; it could not be read."""

ProbeOutcome = Literal["confirmed", "failed", "timeout"]
"""How a synthetic probe ended: it got through; it was refused or given up; it said nothing in its time."""

Dependency = Literal["store", "log", "cache"]
"""What a process stands on."""

LeverWord = Literal["pause", "prefer", "rate", "breaker"]
"""A kind of lever: a brake, a provider put first, a rate, a forced breaker."""

SpanOutcome = Literal["exported", "dropped"]
"""What became of a span: the collector took it; or there was no room for it, or the collector did not take it."""

OpenList = Literal["type", "route", "provider", "reject_reason", "currency", "role", "tenant"]
"""The label lists that the app extends with what is registered: types, routes, provider accounts, codes of errors."""


class Telemetry(Protocol):
    """Counters and histograms, one method for each; durations are seconds, as many at once as there are."""

    def register(self, words: OpenList, values: Sequence[str]) -> None:
        """Let these values appear in labels; beyond the list's limit they stay `other`. Repeats are free."""

    def received(self, priority: Priority, type: str, n: int = 1) -> None: ...

    def validated(self, priority: Priority, type: str, n: int = 1) -> None: ...

    def rejected(self, reason: str, n: int = 1) -> None: ...

    def http_requests(self, route: str, code: int, seconds: Sequence[float]) -> None:
        """Answered requests of a route (its template, such as `/v1/notifications/{id}`), one duration for each."""

    def turned_away(self) -> None:
        """A request was answered 503 by degraded mode, whatever it held."""

    def degraded(self, step: int) -> None:
        """How far ingest protects the backlog: 0 takes everything, each step refuses more."""

    def committed(self, size: int, seconds: float) -> None:
        """One group commit: how many requests shared it and how long it took until it was durable."""

    def produced(self, topic: str, n: int = 1) -> None: ...

    def routed(self, channel: Channel, priority: Priority, n: int = 1) -> None: ...

    def routing_took(self, priority: Priority, seconds: Sequence[float]) -> None: ...

    def suppressed(self, reason: str, channel: Channel, n: int = 1) -> None: ...

    def sent(self, channel: Channel, provider: str, status: AttemptStatus, n: int = 1) -> None:
        """Attempts that were settled, each once."""

    def delivery_took(self, channel: Channel, provider: str, seconds: Sequence[float]) -> None: ...

    def retried(self, channel: Channel, provider: str, attempt: int, n: int = 1) -> None:
        """Deliveries put back for another try; `attempt` is the number of the one that failed."""

    def provider_answered(self, provider: str, code: str, verdict: VerdictName, n: int = 1) -> None:
        """Calls answered: the code as on the wire (or `timeout`, `connect`) and what it meant to us."""

    def provider_took(self, provider: str, seconds: Sequence[float]) -> None: ...

    def dead_lettered(self, channel: Channel, reason: str, n: int = 1) -> None: ...

    def expired(self, channel: Channel, priority: Priority, n: int = 1) -> None: ...

    def cost(
        self, channel: Channel, provider: str, currency: str, amount: float, tenant: TenantNo, campaign: str | None
    ) -> None:
        """Money that attempts cost, in units of `currency`; what was billed though it failed counts."""

    def delivered(self, channel: Channel, type: str, n: int = 1) -> None:
        """Deliveries that were confirmed."""

    def end_to_end(self, channel: Channel, priority: Priority, seconds: Sequence[float]) -> None:
        """From ready to confirmed, or to accepted where the provider gives no receipts."""

    def callbacks(self, provider: str, outcome: CallbackOutcome, n: int = 1) -> None: ...

    def callback_delay(self, provider: str, seconds: Sequence[float]) -> None:
        """From acceptance by the provider to its callback."""

    def spans(self, outcome: SpanOutcome, n: int = 1) -> None:
        """Spans that the collector took, or that were dropped."""

    def unreadable(self, topic: str, n: int = 1) -> None:
        """Records of a topic that were skipped, because they could not be read or broke their own decision."""

    def repeated(self, stage: Stage, n: int = 1) -> None:
        """Work that a stage found done already: a record seen again after a crash, a key sent again by a caller."""

    def probed(self, channel: Channel, outcome: ProbeOutcome) -> None:
        """A synthetic probe has ended."""

    def depends(self, dependency: Dependency, up: bool) -> None:
        """Whether this process reaches what it stands on, as it was last looked at."""

    def disk(self, free_bytes: int, size_bytes: int) -> None:
        """The volume of the data folder."""

    def clock_skew(self, seconds: float | None) -> None:
        """Our clock minus one outside; positive where ours is ahead, None where nobody outside has told the time."""


def _nothing(_self: object, *_: object, **__: object) -> None:
    return None


class NullTelemetry:
    """Counts nothing."""

    register = _nothing
    received = _nothing
    validated = _nothing
    rejected = _nothing
    turned_away = _nothing
    http_requests = _nothing
    degraded = _nothing
    committed = _nothing
    produced = _nothing
    routed = _nothing
    routing_took = _nothing
    suppressed = _nothing
    sent = _nothing
    delivery_took = _nothing
    retried = _nothing
    provider_answered = _nothing
    provider_took = _nothing
    dead_lettered = _nothing
    expired = _nothing
    cost = _nothing
    delivered = _nothing
    end_to_end = _nothing
    callbacks = _nothing
    callback_delay = _nothing
    unreadable = _nothing
    repeated = _nothing
    spans = _nothing
    probed = _nothing
    depends = _nothing
    disk = _nothing
    clock_skew = _nothing


LogLevel = Literal["debug", "info", "warning", "error"]
LogField = str | int | float | bool | None


class Logbook(Protocol):
    """The catalogue of log lines. Content and addresses have no parameter here, and none gets past `note`."""

    def notifications_received(self, batch: Sequence[Notification]) -> None:
        """**Notification received**, INFO, for a sample of the batch."""

    def delivery_attempted(
        self,
        delivery_id: bytes,
        channel: Channel,
        provider: str,
        success: bool,
        duration_ms: float,
        error: str | None = None,
        *,
        user_id: str | None = None,
        tenant: int | None = None,
        trace_id: str | None = None,
    ) -> None:
        """**Delivery attempted**: INFO and sampled, or WARNING and always when it failed."""

    def breaker_changed(
        self, provider: str, channel: Channel, old_state: BreakerState, new_state: BreakerState, failure_count: int
    ) -> None:
        """**Circuit breaker state changed**, WARNING."""

    def note(self, level: LogLevel, message: str, **fields: LogField) -> None:
        """Any other line. A field outside the allow-list is left out and named in `refused_fields`."""


class NullLogbook:
    """Writes nothing."""

    notifications_received = _nothing
    delivery_attempted = _nothing
    breaker_changed = _nothing
    note = _nothing


class BreakerReading(msgspec.Struct, frozen=True, gc=False):
    """A circuit breaker as it stands for all processes."""

    provider: str
    channel: Channel
    state: BreakerState


class DeadLetterDepth(msgspec.Struct, frozen=True, gc=False):
    """How many dead letters wait on a channel."""

    channel: Channel
    count: int


class LedgerReading(msgspec.Struct, frozen=True, gc=False):
    """The last check of the ledger: what it could not account for (must be 0) and when (ms) it looked."""

    imbalance: int
    checked_at: int


class ProviderBalance(msgspec.Struct, frozen=True, gc=False):
    """Money left in a provider's account, in its currency."""

    provider: str
    amount: float | None
    """None where it has never been told."""
    low: float | None = None
    """Below which a person is told; None where nobody has asked for that."""
    stale_since: int = 0
    """When the provider last told it (ms since the epoch), where it has been asked in vain since; 0: it is fresh."""


class Silence(msgspec.Struct, frozen=True, gc=False):
    """For how long a provider that confirms has accepted messages without confirming any; 0 is fine."""

    provider: str
    seconds: float


class ProbeReading(msgspec.Struct, frozen=True, gc=False):
    """When a synthetic probe of a channel last got through (ms since the epoch)."""

    channel: Channel
    succeeded_at: int


class LeverReading(msgspec.Struct, frozen=True, gc=False):
    """What operators have pulled, without what has gone back by itself."""

    pulled: Mapping[LeverWord, int]
    """How many of each kind."""
    paused: frozenset[tuple[Channel, Priority]] = frozenset()
    """The lanes of which a pause holds everything."""


class StoreReading(msgspec.Struct, frozen=True, gc=False):
    """The store's own state: notifications accepted and not yet routed, and the bytes of its write-ahead log."""

    ingest_backlog: int
    wal_bytes: int


class Gauges(Protocol):
    """What the exporter reads about things that all processes share.

    Each call answers with the whole table, as of now; what is missing from an answer disappears from the gauge. A
    call may raise: the exporter then keeps the last values, and `gauge_read_timestamp_seconds` shows how old they are.
    """

    async def lags(self) -> Sequence[Lag]: ...

    async def breakers(self) -> Sequence[BreakerReading]:
        """Every breaker that exists, the closed ones too: the alert compares their number with that of the open."""
        ...

    async def dead_letters(self) -> Sequence[DeadLetterDepth]:
        """Every channel in use, at 0 too."""
        ...

    async def ledger(self) -> LedgerReading | None:
        """None before the first check."""
        ...

    async def oldest_pending(self) -> Mapping[tuple[str, Priority], int]:
        """By stage (`route`, `deliver`, and `due`: what a scheduler brings back in its time) and priority, since when
        (ms) the oldest that may leave has waited. What a pause holds may not."""
        ...

    async def balances(self) -> Sequence[ProviderBalance]: ...

    async def store(self) -> StoreReading: ...

    async def silences(self) -> Sequence[Silence]:
        """Every provider in use that sends callbacks, at 0 too."""
        ...

    async def probes(self) -> Sequence[ProbeReading]:
        """Channels of which a probe has ever got through."""
        ...

    async def levers(self) -> LeverReading: ...

    async def partitions_ahead(self) -> int | None:
        """For how many days from today on there are partitions; None where the store has none."""
        ...


class Lease(Protocol):
    """Says which process may export: at most one at a time, and another one after it has died."""

    async def held(self) -> bool:
        """Take or renew the lease; whether it is ours until the next call is due."""
        ...
