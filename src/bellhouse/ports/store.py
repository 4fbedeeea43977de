"""The store: time and truth. What each stage asks of it, split by who asks, batch-first.

Promised by every adapter:

* A call that returns has committed all of its rows in one transaction, durably; a call that raises has written
  none. `StoreUnavailable` means: nothing was written, try again later (a full disk, a read-only file).
* Records become visible in the log no earlier than the rows of the same call, and certainly. Where the log is part of
  the store they are appended in the same transaction. Elsewhere they wait in the outbox for the relay, but for those of
  `decide`, `release_due` and `release_parked`: these the store appends itself, through the log's `Publisher`, and what
  could not be appended (LogUnavailable) is appended by a later call of the same kind.
* Positions named in `done` are committed in the same transaction where the log is part of the store, and ignored
  elsewhere: there the reader commits them after the call.
* The ledger's counters move in the same transaction as the rows they count.
* Every call may be repeated after a crash: keys, decisions and events are inserted once, and repeats are answered
  from what is stored.
* What can be revoked (contact points, preferences, suppression, cancellation) is read from the store for each batch.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from bellhouse.domain.catalogue import NotificationType, Template
from bellhouse.domain.delivery import Delivery, Event, Source
from bellhouse.domain.ids import DeliveryId, NotificationId, RecipientNo, TenantNo
from bellhouse.domain.notification import Decision, Notification
from bellhouse.domain.recipient import Profile
from bellhouse.domain.words import Channel, DeliveryState, Priority
from bellhouse.ports.log import OutboxLane, Position


class StoreUnavailable(Exception):
    """The store could not write, and wrote nothing: a full disk, a read-only file, a lost connection.

    `reason` is a word (`disk_full`, `read_only`, `io`, `busy`, `unreachable`), `remedy` a sentence for whoever reads
    the answer.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason = reason
        self.remedy = remedy


class OutcomeUnknown(StoreUnavailable):
    """The store does not answer, and nobody knows whether it wrote: it was cut off while it was to commit. What was
    asked for stands wholly or not at all; whoever asks again must be able to ask twice.
    """


class LeaseLost(Exception):
    """This process was away for so long that others may have taken over its work: it must not begin anything with what
    it has polled, but join anew and poll again."""


# --- ingest ---------------------------------------------------------------------------------------------------


class Acceptance(msgspec.Struct, frozen=True, gc=False):
    """One validated notification, ready to be made durable."""

    notification: Notification
    key: bytes | None = None
    """16 bytes that stand for tenant and idempotency key; None where the caller gave none."""
    fingerprint: bytes = b""
    """8 bytes that stand for the request's body."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted", gc=False):
    id: NotificationId


class Repeated(msgspec.Struct, frozen=True, tag="repeated", gc=False):
    """The key has been used within 24 h for the same body: the first answer."""

    id: NotificationId


class KeyReused(msgspec.Struct, frozen=True, tag="key_reused", gc=False):
    """The key has been used within 24 h for another body."""


AcceptResult = Accepted | Repeated | KeyReused

CancelResult = Literal["cancelled", "already_cancelled", "too_late", "unknown"]


class IngestStore(Protocol):
    async def known_recipients(self, tenant: TenantNo, user_ids: Sequence[str]) -> Mapping[str, RecipientNo]:
        """The numbers of those recipients that exist."""
        ...

    async def accept(self, items: Sequence[Acceptance], now: int) -> list[AcceptResult]:
        """Insert notifications with their keys and outbox rows, in one transaction; one result per item, in order.

        What is not ready before `now` becomes a due row instead of a record in the log. A key lives 24 h from its
        notification's receipt; the check is part of the insert. Equal keys within `items` are folded. Raises
        OutcomeUnknown only where the store does not come back soon enough to tell.
        """
        ...

    async def forget_keys(self, now: int, limit: int) -> int:
        """Delete at most `limit` idempotency keys that have lived their 24 h; answers how many went."""
        ...

    async def cancel(self, tenant: TenantNo, notification: NotificationId, now: int, by: str) -> CancelResult:
        """Cancel what has not been sent: the notification while it waits, then each of its waiting deliveries."""
        ...


# --- route ----------------------------------------------------------------------------------------------------


class Facts(msgspec.Struct, frozen=True):
    """What a batch of decisions needs to know of recipients."""

    profiles: Mapping[RecipientNo, Profile]
    suppressed: Mapping[TenantNo, frozenset[str]]
    """The suppressed ones among the addresses of these profiles, by tenant."""


class Routed(msgspec.Struct, frozen=True, gc=False):
    """A notification's decision with the deliveries that it plans."""

    notification: Notification
    decision: Decision
    deliveries: tuple[Delivery, ...] = ()


class RouteStore(Protocol):
    async def facts(self, notifications: Sequence[Notification]) -> Facts: ...

    async def decide(self, routed: Sequence[Routed], now: int, done: Sequence[Position]) -> int:
        """Store decisions and publish their deliveries; answers how many were new.

        A notification that already has a decision (a replayed record, a cancellation) keeps it, and the stored one
        is published again where publishing is not part of the same transaction. A delivery that is not ready
        before `now` becomes a due row. Raises StoreUnavailable, and LogUnavailable where the decisions are stored and
        their deliveries are not published yet: repeat the call.
        """
        ...


# --- deliver --------------------------------------------------------------------------------------------------


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One polled delivery with its notification opened, for which the worker asks the store."""

    delivery: Delivery
    notification: Notification
    again: bool = False
    """Whether somebody may have polled this record before, and may be sending it."""


Sending = Literal["no", "elsewhere", "interrupted"]
"""Nobody is sending it; a living process is (this one, perhaps, from before its partition came back); or a process was,
and has died with its outcome unknown."""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """What the store knows of a polled delivery."""

    stale: bool
    """Whether this record has already been worked on, or the delivery has ended: drop it."""
    superseded: bool
    """Whether a newer notification with the same collapse key has been accepted."""
    settled: bool = False
    """Whether what this record asks for has its outcome: of a delivery that ended by news alone it has none yet."""
    sending: Sending = "no"
    """Whether what this record asks for is under way; looked up for records that come `again`."""


class Standings(msgspec.Struct, frozen=True):
    standings: Sequence[Standing]
    facts: Facts
    as_of: int
    """The count of operator acts when this was read; `begin` notices those that came since."""


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A delivery that was given up, with what is needed to replay it."""

    delivery: Delivery
    notification: Notification
    reason: str
    at: int
    provider: str | None = None
    code: str | None = None


class InboxItem(msgspec.Struct, frozen=True, gc=False):
    """An in-app message in a recipient's inbox."""

    recipient: RecipientNo
    delivery: DeliveryId
    type: str
    title: str
    body: str
    at: int
    link: str | None = None
    read_at: int = 0
    expires_at: int = 0


class Retirement(msgspec.Struct, frozen=True, gc=False):
    """A contact point that a provider called dead."""

    recipient: RecipientNo
    contact: str
    reason: str


class Suppression(msgspec.Struct, frozen=True, gc=False):
    """An address that must not be written to."""

    tenant: TenantNo
    address: str
    reason: str
    at: int
    detail: str = ""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one delivery in the worker's hands: its event, and the record that waits, if it goes on."""

    event: Event
    tenant: TenantNo
    again: Delivery | None = None
    """The delivery's next record; None when the worker has done with it."""
    again_at: int = 0
    """When it goes on (ms since the epoch)."""
    park: bool = False
    """Whether it waits for an outage of its channel to end rather than for `again_at`, its expiry."""
    held_by: str = ""
    """The scope of the brake that it waits under rather than for `again_at`, its expiry; empty where there is none."""


class Settlement(msgspec.Struct, frozen=True):
    """A batch of outcomes and everything that follows from them, written in one transaction."""

    outcomes: Sequence[Outcome] = ()
    dead_letters: Sequence[DeadLetter] = ()
    retirements: Sequence[Retirement] = ()
    suppressions: Sequence[Suppression] = ()
    intents: Sequence[int] = ()
    """Intents whose deliveries are all settled by now."""
    done: Sequence[Position] = ()


class Intent(msgspec.Struct, frozen=True):
    """The durable note of a batch that is about to be sent."""

    number: int
    lane: str
    at: int
    deliveries: tuple[DeliveryId, ...]
    """Those of which the outcome is not known."""
    steps: tuple[int, ...] = ()
    """The step of each that was about to be taken: an earlier or later record of it is another piece of work."""


class DeliverStore(Protocol):
    async def standings(self, claims: Sequence[Claim]) -> Standings:
        """What is known of these deliveries and their recipients, read now."""
        ...

    async def begin(
        self, lane: str, claims: Sequence[Claim], as_of: int, now: int
    ) -> tuple[int, frozenset[DeliveryId]]:
        """Note durably that these deliveries are about to be sent; answers the intent's number and which of them
        were cancelled since `as_of`, or answered by news of an earlier attempt, which are not part of it. Where
        none is left to send there is no intent, and the number is 0. Raises LeaseLost where this process has been
        given up by the others."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Write outcomes with what follows from them. One about a delivery that was not being sent, and that a
        cancellation or news has moved since it was polled, no longer holds and is left out. One about a delivery that
        was being sent, and that another process has meanwhile called interrupted, comes too late to be its outcome:
        what it knows (the provider took it) is kept as news."""
        ...

    async def open_intents(self, lane: str) -> Sequence[Intent]:
        """What an earlier process of this lane was sending when it ended: of these the outcome is unknown. Nothing
        where a lane may have several processes: there `standings` tells it of each record that comes again."""
        ...

    async def put_inbox(self, items: Sequence[InboxItem]) -> None:
        """Add items; one that is already there stays as it is."""
        ...


# --- what waits -----------------------------------------------------------------------------------------------


class Pending(msgspec.Struct, frozen=True, gc=False):
    """What waits in the outbox."""

    records: int
    """How many, about."""
    since: int
    """When the oldest was committed (ms since the epoch)."""


class OutboxStore(Protocol):
    """What was committed for the log and is not in it yet. Any number of relays may ask side by side."""

    async def relay(self, lane: OutboxLane, limit: int) -> int:
        """Append at most `limit` outbox rows of a lane to the log, the oldest first, and forget them; answers how
        many records that were. A row holds what one transaction appended to a topic. Raises LogUnavailable, and then
        the rows stay."""
        ...

    async def pending(self) -> Mapping[Priority, "Pending"]:
        """The notifications that wait in the outbox, by priority; priorities without any are missing."""
        ...


class DueStore(Protocol):
    async def release_due(self, now: int, limit: int) -> int:
        """Append at most `limit` due rows whose moment has come to the log, the earliest first."""
        ...

    async def next_due(self, after: int = 0) -> int | None:
        """When the next row is due (ms since the epoch) of those that are due later than `after`."""
        ...

    async def overdue(self, now: int) -> Mapping[Priority, int]:
        """The moment (ms since the epoch) of the earliest due row of each priority whose moment has come. Where very
        much is overdue only the earliest of all are looked at, and a priority whose rows are all later is missing."""
        ...

    async def parked(self) -> Sequence[tuple[Channel, Priority]]:
        """The channels and priorities of which any delivery waits for an outage to end, critical first."""
        ...

    async def release_parked(self, channel: Channel, priority: Priority, limit: int) -> int:
        """Append at most `limit` parked deliveries of a channel to the log, in turn: one that is parked again comes
        after all others."""
        ...


# --- confirm --------------------------------------------------------------------------------------------------


class NewsRow(msgspec.Struct, frozen=True, gc=False):
    """One piece of a provider's news about a delivery."""

    delivery: DeliveryId
    n: int
    """A hash of the provider's event id (63 bits)."""
    attempt: int
    kind: Literal["accepted", "delivered", "failed"]
    at: int
    detail: bytes


class Confirmed(msgspec.Struct, frozen=True, gc=False):
    """A delivery that news has moved."""

    delivery: DeliveryId
    before: DeliveryState
    after: DeliveryState
    notification: Notification
    channel: Channel
    ready_at: int


class NewsResult(msgspec.Struct, frozen=True):
    moved: Sequence[Confirmed]
    repeated: int
    """Rows that were already there."""
    unmatched: int
    """Rows about deliveries that were never planned."""
    early: Sequence[Confirmed] = ()
    """Deliveries whose news has overtaken its attempt; the state, before and after, is the one that stands still."""


class Concerned(msgspec.Struct, frozen=True, gc=False):
    """Whom a delivery was for."""

    tenant: TenantNo
    recipient: RecipientNo
    contact: str
    """The contact point's id."""
    address: str
    """Where that is; empty where the recipient or the contact point is gone."""


class ConfirmStore(Protocol):
    async def news(self, rows: Sequence[NewsRow]) -> NewsResult:
        """Insert news and move its deliveries. A repeat is not inserted again; what overtakes its own attempt is
        kept and counts when the attempt is settled."""
        ...

    async def recipients_of(self, deliveries: Sequence[DeliveryId]) -> Mapping[DeliveryId, Concerned]:
        """Whom planned deliveries were for."""
        ...

    async def every_tenant(self) -> Sequence[TenantNo]:
        """All tenants: a STOP names no delivery and is said to an account that they share."""
        ...

    async def follow_up(
        self, suppressions: Sequence[Suppression], lifted: Sequence[Suppression], retirements: Sequence[Retirement]
    ) -> None:
        """Suppress, lift suppressions and retire contact points, in one transaction."""
        ...


# --- what tenants define --------------------------------------------------------------------------------------


class Unseen(msgspec.Struct, frozen=True):
    """One page of profiles that nobody has stored for long."""

    looked: int
    contacts: int
    """Contact points that were taken out, or would be."""
    last: RecipientNo
    """The last profile that was looked at."""


class RecipientStore(Protocol):
    async def put_recipient(self, tenant: TenantNo, profile: Profile, now: int) -> bool:
        """Create or replace; preferences of an existing recipient are kept. Answers whether it was created."""
        ...

    async def put_recipients(self, tenant: TenantNo, profiles: Sequence[Profile], now: int) -> int:
        """The same for many, in one transaction; answers how many were created."""
        ...

    async def get_recipient(self, tenant: TenantNo, user_id: str) -> tuple[RecipientNo, Profile] | None: ...

    async def delete_recipient(self, tenant: TenantNo, user_id: str) -> bool: ...

    async def update_preferences(self, tenant: TenantNo, user_id: str, preferences: bytes, now: int) -> bool:
        """Replace the preferences (msgpack of Preferences); False where there is no such recipient."""
        ...

    async def retire_unseen(
        self, channel: Channel, before: int, tenant: TenantNo | None, after: RecipientNo, limit: int, dry_run: bool
    ) -> "Unseen":
        """Take the contact points of a channel out of the profiles that nobody has stored since `before` (ms since the
        epoch); looks at no more than `limit` such profiles behind `after`, in the order of their numbers."""
        ...

    async def put_suppression(self, suppression: Suppression) -> None: ...

    async def get_suppression(self, tenant: TenantNo, address: str) -> Suppression | None: ...

    async def delete_suppression(self, tenant: TenantNo, address: str) -> bool: ...

    async def inbox(
        self, tenant: TenantNo, user_id: str, before: DeliveryId | None, limit: int, unread_only: bool, now: int
    ) -> tuple[Sequence[InboxItem], int] | None:
        """The newest items first, and the count of unread; None where there is no such recipient."""
        ...

    async def mark_read(
        self, tenant: TenantNo, user_id: str, deliveries: Sequence[DeliveryId], read: bool, now: int
    ) -> int | None:
        """Mark items read or unread; answers how many changed, None where there is no such recipient."""
        ...


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is stored: never the secret."""

    id: str
    tenant: TenantNo
    tenant_name: str
    environment: str
    scopes: tuple[str, ...]
    digest: bytes
    label: str
    created_at: int
    revoked_at: int = 0


class CatalogueStore(Protocol):
    """Types, templates, keys and tenants: small, read for every batch, so answered from memory that follows every
    change in the store: at once where the store is on this machine, within a twentieth of a second elsewhere, and at
    once for a name that is not known yet."""

    async def type(self, tenant: TenantNo, name: str) -> NotificationType | None: ...

    async def types(self, tenant: TenantNo) -> Sequence[NotificationType]: ...

    async def put_type(self, tenant: TenantNo, kind: NotificationType) -> None: ...

    async def template(self, tenant: TenantNo, name: str, version: int | None = None) -> Template | None:
        """A version of a template; None for the newest."""
        ...

    async def template_names(self, tenant: TenantNo) -> Mapping[str, int]:
        """Each template's newest version."""
        ...

    async def put_template(self, tenant: TenantNo, template: Template) -> int:
        """Store a new version; answers its number."""
        ...

    async def tenant(self, name: str, environment: str) -> TenantNo:
        """The tenant's number, made at the first call."""
        ...

    async def tenants(self) -> Mapping[TenantNo, tuple[str, str]]: ...

    async def key(self, key_id: str) -> ApiKey | None: ...

    async def keys(self) -> Sequence[ApiKey]: ...

    async def put_key(self, key: ApiKey) -> None: ...

    async def revoke_key(self, key_id: str, now: int) -> bool: ...


# --- shared state of providers --------------------------------------------------------------------------------

Forced = Literal["none", "open", "closed"]
BreakerState = Literal["closed", "open", "half_open"]
BreakerReason = Literal["failures", "silent"]


class BreakerRow(msgspec.Struct, frozen=True):
    """A breaker as all processes see it."""

    provider: str
    channel: Channel
    state: BreakerState = "closed"
    forced: Forced = "none"
    changed_at: int = 0
    """When it took this state (ms since the epoch)."""
    failures: int = 0
    probe_owner: str = ""
    version: int = 0
    reason: BreakerReason = "failures"
    """Why it is not closed: the provider fails, or accepts and confirms nothing."""


class BreakerStore(Protocol):
    async def breakers(self) -> Sequence[BreakerRow]:
        """All breakers, from memory that follows every change in the store: at once where the store is on this machine,
        within a twentieth of a second elsewhere."""
        ...

    async def change_breaker(self, row: BreakerRow, expected_version: int) -> bool:
        """Compare and set: True when the row was at `expected_version` (0: absent) and is now `row`."""
        ...


class Sign(msgspec.Struct, frozen=True, gc=False):
    """What was last seen and heard of somebody outside."""

    heard_at: int = 0
    """When it was last heard (ms since the epoch); 0: never."""
    accepted: int = 0
    """Messages that it has accepted since."""
    since: int = 0
    """When the first of them was noted (ms since the epoch); 0: there are none."""


class SignStore(Protocol):
    """Signs of life: what providers accept and when they call back, and when probes got through. Small, and written
    seldom: whoever has much to note gathers it for a second or two."""

    async def note_accepted(self, counts: Mapping[str, int], since: int) -> None:
        """So many messages more were accepted by each of these, the first of them no earlier than `since` (ms). Whoever
        was heard at that moment or later has none to be added: what was heard may be about these."""
        ...

    async def note_heard(self, subjects: Sequence[str], now: int) -> None:
        """These were heard: what they had accepted before counts no more."""
        ...

    async def signs(self) -> Mapping[str, Sign]:
        """Of everybody of whom anything was ever noted."""
        ...


class BacklogStore(Protocol):
    """How much waits in the log, written down by the one who counts it for those who protect it."""

    async def put_backlog(self, records: int, now: int) -> None: ...

    async def backlog(self) -> tuple[int, int]:
        """The records as they were last counted, and when (ms since the epoch; 0: never)."""
        ...


# --- processes, leases and upkeep -----------------------------------------------------------------------------


class Member(msgspec.Struct, frozen=True):
    """A living process, as the others see it."""

    process: str
    """An id that is never used again."""
    role: str
    lanes: tuple[str, ...] = ()
    """The topics that it works on."""
    host: str = ""
    pid: int = 0
    since: int = 0
    version: str = ""
    step: int = 0
    """The newest step of the schema that its code knows."""


class MemberStore(Protocol):
    """Who is alive. A process that does not renew within `ttl_s` is given up: from then on `begin` refuses it, and what
    it was sending is taken over by whoever polls those records again."""

    async def join(self, member: Member, ttl_s: float) -> None:
        """Become a member, or one again under the same id."""
        ...

    async def renew(self, ttl_s: float) -> bool:
        """Stay one; False where the others have given this process up."""
        ...

    async def leave(self) -> None:
        """Be no member any more. Calling it twice is lawful."""
        ...

    async def members(self) -> Sequence[Member]: ...


class LeaseStore(Protocol):
    """What only one process may do at a time."""

    async def take(self, name: str, ttl_s: float) -> int:
        """Take or renew a lease for this process; answers its fencing token, which grows with each new holder, or 0
        where another process holds it. Times are the store's own."""
        ...

    async def release(self, name: str) -> None:
        """Give a lease back. One that is not ours is lawful."""
        ...


class UpkeepStore(Protocol):
    """What has to be done now and then so that everything stays as quick as it is; each is harmless when repeated."""

    async def upkeep(self, now: int, retention_days: int) -> Sequence[str]:
        """One round: partitions made ahead, counters folded, news merged that a killed process left unmerged, intents
        of dead processes forgotten. Of the days before retention those are dropped in which nothing waits, is being
        sent or is unknown; open dead letters of them are discarded first, by `retention`. Inbox items go when their
        time is over. Answers what was done, in words, for the log."""
        ...


# --- operators and readers ------------------------------------------------------------------------------------

DeadLetterState = Literal["open", "replayed", "discarded"]


class DeadLetterRow(msgspec.Struct, frozen=True):
    delivery: DeliveryId
    tenant: TenantNo
    channel: Channel
    provider: str | None
    type: str
    user_id: str
    reason: str
    code: str | None
    at: int
    state: DeadLetterState
    epoch: int
    by: str = ""
    why: str = ""


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Which dead letters; None matches all."""

    tenant: TenantNo | None = None
    ids: tuple[DeliveryId, ...] | None = None
    channel: Channel | None = None
    reason: str | None = None
    provider: str | None = None
    type: str | None = None
    since: int | None = None
    state: DeadLetterState | None = "open"


class DeadLetterStore(Protocol):
    async def dead_letters(
        self, filter: DeadLetterFilter, after: DeliveryId | None, limit: int
    ) -> Sequence[DeadLetterRow]:
        """In the order of their delivery ids."""
        ...

    async def replay(
        self, deliveries: Sequence[DeliveryId], tenant: TenantNo | None, now: int, lifetime_ms: int, by: str
    ) -> int:
        """Send open dead letters again, each at most once however often it is asked; answers how many.

        A delivery that would have expired gets `lifetime_ms` more from now.
        """
        ...

    async def discard(
        self, deliveries: Sequence[DeliveryId], tenant: TenantNo | None, now: int, by: str, why: str
    ) -> int: ...

    async def depths(self) -> Mapping[Channel, int]:
        """Open dead letters by channel."""
        ...


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
