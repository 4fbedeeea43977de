"""What is read of everything: stories, lists, what happened lately, and the ledger."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from bellhouse.domain.delivery import Source
from bellhouse.domain.ids import DeliveryId, NotificationId, TenantNo
from bellhouse.domain.notification import Decision, Notification
from bellhouse.domain.words import DeliveryState


class StoryEvent(msgspec.Struct, frozen=True):
    delivery: DeliveryId
    source: Source
    n: int
    state: DeliveryState
    at: int
    detail: bytes


class Story(msgspec.Struct, frozen=True):
    """Everything that is stored about a notification."""

    notification: Notification
    decision: Decision | None
    events: Sequence[StoryEvent]
    states: Mapping[DeliveryId, DeliveryState]
    waiting_until: int | None = None


class ListQuery(msgspec.Struct, frozen=True):
    tenant: TenantNo
    user_id: str | None = None
    type: str | None = None
    state: str | None = None
    since: int | None = None
    before: NotificationId | None = None
    limit: int = 50
    campaign: str | None = None


class LedgerLine(msgspec.Struct, frozen=True):
    level: Literal["notification", "delivery"]
    state: str
    counted: int
    """What the running counters say."""
    recounted: int | None = None
    """What counting the rows themselves says; None where only the counters were asked for."""


class LedgerCheck(msgspec.Struct, frozen=True):
    """One equation of the ledger between independent counts."""

    name: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        return self.left == self.right


class Ledger(msgspec.Struct, frozen=True):
    at: int
    accepted: int
    planned: int
    lines: Sequence[LedgerLine]
    checks: Sequence[LedgerCheck]

    @property
    def imbalance(self) -> int:
        """The sum of all differences; 0 is balanced."""
        return sum(abs(check.left - check.right) for check in self.checks)


class Alike(msgspec.Struct, frozen=True, gc=False):
    """Rows that have the same words, counted; which words it has is said by the list that it stands in."""

    count: int
    first_at: int
    last_at: int
    """ms since the epoch"""
    tenant: TenantNo = TenantNo(0)
    """0 where it does not tell rows apart."""
    type: str = ""
    priority: str = ""
    channel: str = ""
    provider: str = ""
    verdict: str = ""
    reason: str = ""
    code: str = ""
    template: str = ""
    template_version: int = 0
    worst_ms: float = 0.0
    """The longest call among them."""


class Recent(msgspec.Struct, frozen=True):
    """What the newest rows are alike in; each list has its largest group first."""

    attempts: Sequence[Alike] = ()
    """Calls of providers: provider, verdict, code and, where they refuse our account, what they say."""
    failures: Sequence[Alike] = ()
    """Deliveries that ended badly, a sample: tenant, type, provider, reason, code, template and its version."""
    waits: Sequence[Alike] = ()
    """Deliveries that were put back: tenant, reason."""
    arrivals: Sequence[Alike] = ()
    """Notifications: tenant, type, priority."""
    letters: Sequence[Alike] = ()
    """Open dead letters: tenant, type, channel, provider, reason, code, template and its version."""
    undecidable: int = 0
    """Notifications that broke their own decision."""


class Insights(Protocol):
    """The read side: what operators, pages and callers ask. Never blocks a writer."""

    async def story(self, tenant: TenantNo | None, notification: NotificationId) -> Story | None: ...

    async def list(self, query: ListQuery) -> Sequence[tuple[Notification, str]]:
        """Notifications with their states, the newest first. At most `limit`; a scan stops at a bounded number."""
        ...

    async def ledger(self, tenant: TenantNo | None, now: int, recount: bool) -> Ledger: ...

    async def recent(self, since: int, until: int, limit: int) -> Recent:
        """What the newest rows between two moments (ms since the epoch) are alike in. At most `limit` rows of each
        kind are looked at, the newest first by the receipt of their notification, however much is stored."""
        ...
