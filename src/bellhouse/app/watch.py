"""What a process learns of what it stands on and of others: do engines answer, how much waits, who is called what."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from bellhouse.app.roles import Play
from bellhouse.domain.ids import TenantNo
from bellhouse.ingest.degrade import Waiting
from bellhouse.observability.metrics import Metrics
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log, LogUnavailable
from bellhouse.ports.service import Beat
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.store.waiting import BacklogStore, OutboxStore
from bellhouse.ports.telemetry import Lease
from bellhouse.web.health import Check, Readiness

_ROUND_S: Final = 2.0
_STALE_MS: Final = 60_000
"""A count of the log's backlog that is older than this says nothing any more."""
_NAMES_S: Final = 5.0


class LogWatch(Beat):
    """Whether the log answers for the topics that matter here: another lane's may be elsewhere. Service."""

    def __init__(self, log: Log, topics: Collection[str], clock: Clock) -> None:
        super().__init__("log-watch", _ROUND_S, clock)
        self._log = log
        self._topics = topics
        self.down = ""
        """Why it does not; empty while it does."""

    async def beat(self) -> None:
        try:
            await self.probe()
        except LogUnavailable as error:
            self.down = str(error)
        else:
            self.down = ""

    async def probe(self) -> None:
        """Raise LogUnavailable unless it answers now."""
        await self._log.probe(self._topics)


class BacklogTeller(Beat):
    """Writes down how much waits in the log, for the processes that protect it. Service; one, by lease."""

    def __init__(self, log: Log, store: BacklogStore, lease: Lease, clock: Clock) -> None:
        super().__init__("backlog-teller", _ROUND_S, clock)
        self._log = log
        self._store = store
        self._lease = lease

    async def beat(self) -> None:
        if await self._lease.held():
            waiting = sum(lag.lag for lag in await self._log.lags())
            await self._store.put_backlog(waiting, self._clock.now())


class _Named(Protocol):
    async def type_names(self) -> Sequence[str]: ...

    async def tenants(self) -> Mapping[TenantNo, tuple[str, str]]: ...


class LabelNames(Beat):
    """Lets the names of tenants, and of all their types, appear in the labels of metrics. Service."""

    def __init__(self, catalogue: _Named, metrics: Metrics, clock: Clock) -> None:
        super().__init__("label-names", _NAMES_S, clock)
        self._catalogue = catalogue
        self._metrics = metrics

    async def start(self) -> None:
        """Before anything is counted."""
        await self.once()

    async def beat(self) -> None:
        self._metrics.register("type", await self._catalogue.type_names())
        tenants = await self._catalogue.tenants()
        self._metrics.name_tenants({number: name for number, (name, _) in tenants.items()})


class _Counted(BacklogStore, OutboxStore, Protocol):
    """Both places where accepted notifications wait."""


def backlog_of_store(store: _Counted, clock: Clock) -> Callable[[], Awaitable[Waiting]]:
    """How many records wait in the outbox and, as last counted, in the log."""

    async def waiting() -> Waiting:
        records = sum(pending.records for pending in (await store.pending()).values())
        counted, at = await store.backlog()
        return Waiting(records + (counted if clock.now() - at < _STALE_MS else 0), records)

    return waiting


class _Probed(Protocol):
    async def probe(self) -> None:
        """Raise StoreUnavailable unless the store can be written."""
        ...


def readiness_of_role(store: _Probed, log: LogWatch, play: Play) -> Readiness:
    """The checks of `/readyz`. Accepting goes on without the log, so no load balancer shall turn callers away."""

    async def readiness() -> Sequence[Check]:
        try:
            await store.probe()
            found = Check("store", True)
        except StoreUnavailable as down:
            found = Check("store", False, f"{down.reason}: {down.remedy}")
        detail = f"{log.down}; what is accepted waits in the outbox" if log.down and play.plays("api") else log.down
        return [found, Check("log", not log.down or play.plays("api"), detail)]

    return readiness
