"""The provider accounts of a process: which of them may take a delivery now, and what their answers teach."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal, assert_never

from bellhouse.deliver.breaker import Breaker, Transition
from bellhouse.deliver.levers import NOTHING_PULLED, Pulled, ReadPulled, nothing_pulled
from bellhouse.deliver.limits import Limiter
from bellhouse.domain.attempt import (
    Accepted,
    AccountFault,
    Permanent,
    Retry,
    Throttled,
    TokenInvalid,
    Unknown,
    Verdict,
)
from bellhouse.domain.delivery import PassedOver
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Provider, Sheet
from bellhouse.ports.store.providers import BreakerStore
from bellhouse.ports.telemetry import Logbook

Obstacle = Literal["outage", "throttled", "quota", "recipient_rate", "none"]
"""What keeps a delivery back: all accounts that can reach it are out, all are at their rate, its tenant has its share
in flight, its recipient has had what she gets a minute, or none is configured."""

PROBE_SHARE: Final = 0.000_001
"""The share of a channel of which a breaker wants its probe: one delivery."""

_RECENT: Final = 100
_MASS: Final = 0.5
"""Above this share of dead tokens among the recent answers it is our account that is wrong, not the tokens."""
_LEAST_WAIT_MS: Final = 50
_BATCH_S: Final = 0.05
"""What comes together in so many seconds at a limited rate goes out as one batch."""


def _worth(rate: float | None) -> int:
    """How many messages at a rate make a batch: fewer would be a transaction for next to nothing."""
    return 1 if rate is None else max(1, int(rate * _BATCH_S))


class Account:
    """One provider as this process sees it."""

    def __init__(self, provider: Provider, breakers: Mapping[Channel, Breaker], limiter: Limiter, clock: Clock) -> None:
        self.provider = provider
        self.sheet: Sheet = provider.sheet
        self.name = provider.sheet.name
        self.breakers = breakers
        self.limiter = limiter
        self.probes: Counter[Channel] = Counter()
        """Channels whose probe this process has claimed and not sent yet."""
        self.changes: list[tuple[Channel, Transition]] = []
        """What its breakers have done and nobody has logged yet."""
        self.accepted = 0
        """Messages that it has accepted and nobody has noted yet."""
        self._clock = clock
        self._successes: Counter[Channel] = Counter()
        self._dead: deque[bool] = deque(maxlen=_RECENT)

    def note(self, channel: Channel, verdict: Verdict) -> None:
        """Learn from an answer: the breaker sees the provider's faults, the limiter its throttles."""
        match verdict:
            case Accepted():
                self._successes[channel] += 1
                self.accepted += 1
                self._dead.append(False)
            case TokenInvalid():
                self._successes[channel] += 1
                self._dead.append(True)
            case Permanent():
                self._successes[channel] += 1
            case Throttled(after_ms=after_ms, scope="provider"):
                self.limiter.throttled(self._clock.monotonic(), after_ms / 1000)
            case Throttled():
                pass
            case Retry() | AccountFault() | Unknown():
                self.told(channel)
                self._changed(channel, self.breakers[channel].failed(self._clock.now()))
            case _:
                assert_never(verdict)

    def told(self, channel: Channel) -> None:
        """Tell the breaker of the successes that were gathered since the last time."""
        if self._successes[channel]:
            count = self._successes.pop(channel)
            self._changed(channel, self.breakers[channel].succeeded(self._clock.now(), count))

    def _changed(self, channel: Channel, change: Transition | None) -> None:
        if change is not None:
            self.changes.append((channel, change))

    def judged(self, verdict: Verdict) -> Verdict:
        """The verdict as it is acted on: a mass of dead tokens at once is a fault of the account (a wrong project,
        host or key), for which no recipient loses a contact point."""
        if isinstance(verdict, TokenInvalid) and len(self._dead) == _RECENT and sum(self._dead) > _MASS * _RECENT:
            return AccountFault("dead tokens are the rule: check the account", verdict.code)
        return verdict

    def reaches(self, providers: Sequence[str]) -> bool:
        """Whether a contact point that names these providers can be reached through this one."""
        return not providers or self.name in providers or self.sheet.any_contact

    def out(self, channel: Channel) -> bool:
        """Whether it is known to be failing on this channel."""
        return self.breakers[channel].state != "closed"

    def room(self, channel: Channel, count: int) -> int:
        """How many of `count` deliveries its breaker lets through now."""
        breaker = self.breakers[channel]
        if breaker.state == "closed" or breaker.forced != "none":
            return count if breaker.allow(self._clock.now()) == "yes" else 0
        return min(count, self.probes[channel])


class Offer:
    """What the accounts of a channel can take of one batch; what is not taken is given back."""

    def __init__(self, channel: Channel, accounts: Sequence[Account], room: list[int], until: int) -> None:
        self._channel: Channel = channel
        self._accounts = accounts
        self.room = room
        """How many each account can take; -1 where its breaker is open."""
        self._until = until

    def take(self, providers: Sequence[str], tried: Sequence[str]) -> Account | None:
        """The first account in order that can reach the contact point and has room; one place of it is taken."""
        for index, account in enumerate(self._accounts):
            if self.room[index] > 0 and account.reaches(providers) and account.name not in tried:
                self.room[index] -= 1
                return account
        return None

    def passed_over(
        self, taken: Account, providers: Sequence[str], tried: Sequence[str]
    ) -> Mapping[str, PassedOver] | None:
        """Those before the one that was taken, each with what kept it from being asked; None where it is the first."""
        if taken is self._accounts[0]:
            return None
        passed: dict[str, PassedOver] = {}
        for index, account in enumerate(self._accounts):
            if account is taken:
                break
            if account.reaches(providers) and account.name not in tried:
                passed[account.name] = self._kept(account.breakers[self._channel]) if self.room[index] < 0 else "rate"
        return passed or None

    @staticmethod
    def _kept(breaker: Breaker) -> PassedOver:
        return "silent" if breaker.reason == "silent" and breaker.forced == "none" else "breaker"

    def obstacle(self, providers: Sequence[str]) -> tuple[Obstacle, int]:
        """Why `take` found none, and until when (ms) it is worth waiting."""
        rooms = [room for room, account in zip(self.room, self._accounts, strict=True) if account.reaches(providers)]
        if not rooms:
            return "none", 0
        return ("outage", 0) if all(room < 0 for room in rooms) else ("throttled", self._until)


class Accounts:
    """All accounts by channel, in the order in which they are tried."""

    def __init__(
        self,
        order: Mapping[Channel, Sequence[Account]],
        store: BreakerStore,
        clock: Clock,
        logbook: Logbook,
        pulled: ReadPulled = nothing_pulled,
    ) -> None:
        """`pulled` answers the levers, which change the order and the rates."""
        self._configured = order
        self._order = order
        self._read_pulled = pulled
        self._pulled = NOTHING_PULLED
        self._store = store
        self._clock = clock
        self._logbook = logbook

    def of(self, channel: Channel) -> Sequence[Account]:
        """The accounts of a channel, in order."""
        return self._order.get(channel, ())

    def each(self) -> Sequence[Account]:
        """Every account once."""
        return list({account.name: account for _, account in self._all()}.values())

    @property
    def sheets(self) -> Mapping[Channel, Sequence[Sheet]]:
        """The sheets of each channel's providers, in order."""
        return {channel: [account.sheet for account in accounts] for channel, accounts in self._order.items()}

    def named(self, channel: Channel, name: str) -> Account | None:
        """A channel's account by its name."""
        return next((account for account in self.of(channel) if account.name == name), None)

    async def pause(self, channel: Channel, priority: Priority) -> float:
        """Seconds for which a lane had better not poll: its accounts are at their rate. Also takes in what other
        processes have learnt."""
        await self.refresh()
        now = self._clock.monotonic()
        urgent = priority == "critical"
        waits = [
            account.limiter.wait_s(1 if urgent else _worth(account.limiter.rate), now, urgent)
            for account in self.of(channel)
            if account.room(channel, 1)
        ]
        return min(waits, default=0.0)

    def room(self, channel: Channel, priority: Priority, count: int) -> int:
        """How many of `count` deliveries are worth polling: what may go out now; all of them where every account is
        out, since they are parked."""
        with self.offer(channel, priority, count) as offer:
            rooms = [room for room in offer.room if room >= 0]
        return max(1, min(count, sum(rooms))) if rooms else count

    async def claim_probes(self, channel: Channel) -> None:
        """Become the one process that may send the probe of a breaker whose wait is over; call it with deliveries
        in hand, so that a claimed probe is sent."""
        for account in self.of(channel):
            if account.breakers[channel].wants_probe(self._clock.now()):
                await self._claim_probe(account, channel)

    async def refresh(self) -> None:
        """Take in the breakers as all processes see them. A row that is gone, or has begun anew, counts too: a store
        may forget, and then the breaker closes. And the levers, where they have changed."""
        self._obey_levers()
        known = [(channel, account, account.breakers[channel].version) for channel, account in self._all()]
        rows = {(row.provider, row.channel): row for row in await self._store.breakers()}
        for channel, account, version in known:
            breaker = account.breakers[channel]
            row = rows.get((account.name, channel))
            # What was shared from here meanwhile may be newer than the answer.
            if breaker.version == version or (row is not None and row.version > breaker.version):
                self._log(breaker, breaker.restore(row))

    def rate(self, channel: Channel) -> float | None:
        """What this process may send a second on a channel, all accounts together; None where that has no limit."""
        self._obey_levers()
        rates = [account.limiter.rate for account in self.of(channel)]
        return None if None in rates else sum(rate for rate in rates if rate is not None)

    def _obey_levers(self) -> None:
        pulled = self._read_pulled()
        if pulled is not self._pulled:
            self._obey(pulled)

    def _obey(self, pulled: Pulled) -> None:
        """Put the preferred accounts first, and give each the rate that its lever says, or its own again."""
        now = self._clock.monotonic()
        for account in self.each():
            wanted, had = pulled.rates.get(account.name), self._pulled.rates.get(account.name)
            if wanted != had:
                account.limiter.pull(wanted, now)
        self._order = {
            channel: sorted(accounts, key=lambda account: account.name != pulled.preferred.get(channel))
            for channel, accounts in self._configured.items()
        }
        self._pulled = pulled

    async def _claim_probe(self, account: Account, channel: Channel) -> None:
        """Another process that was swifter keeps the probe."""
        breaker = account.breakers[channel]
        failures = breaker.failures
        breaker.allow(self._clock.now())
        if await self._share(breaker):
            account.probes[channel] = 1
            self._logbook.breaker_changed(account.name, channel, "open", "half_open", failures)

    async def publish(self) -> None:
        """Tell the other processes of breakers that this one has seen opening or closing."""
        for channel, account in self._all():
            account.told(channel)
            for changed, change in account.changes:
                self._log(account.breakers[changed], change)
            account.changes.clear()
            if account.breakers[channel].unpublished:
                await self._share(account.breakers[channel])

    async def _share(self, breaker: Breaker) -> bool:
        row = breaker.row()
        if await self._store.change_breaker(row, breaker.version):
            breaker.published(row)
            return True
        rows = [r for r in await self._store.breakers() if (r.provider, r.channel) == (row.provider, row.channel)]
        self._log(breaker, breaker.restore(rows[0] if rows else None))
        return False

    def _log(self, breaker: Breaker, change: Transition | None) -> None:
        if change is not None:
            self._logbook.breaker_changed(breaker.provider, breaker.channel, change.old, change.new, change.failures)

    def _all(self) -> Iterator[tuple[Channel, Account]]:
        for channel, accounts in self._order.items():
            for account in accounts:
                yield channel, account

    @contextmanager
    def offer(self, channel: Channel, priority: Priority, count: int) -> Iterator[Offer]:
        """Room for up to `count` deliveries; what is left of it when the block ends is given back."""
        accounts = self.of(channel)
        now, critical = self._clock.monotonic(), priority == "critical"
        granted = []
        wait = 0.0
        for account in accounts:
            allowed = account.room(channel, count)
            granted.append(account.limiter.take(allowed, now, critical) if allowed else -1)
            if allowed and not granted[-1]:
                wait = max(wait, account.limiter.wait_s(1, now, critical))
        offer = Offer(channel, accounts, list(granted), self._clock.now() + max(_LEAST_WAIT_MS, int(wait * 1000)))
        yield offer
        for account, before, left in zip(accounts, granted, offer.room, strict=True):
            if before > 0:
                account.limiter.give_back(left)
                if before > left and account.probes[channel]:
                    account.probes[channel] = 0

    def another(
        self, channel: Channel, priority: Priority, providers: Sequence[str], tried: Sequence[str]
    ) -> Account | None:
        """An account that may be asked at once after others have failed."""
        with self.offer(channel, priority, 1) as offer:
            return offer.take(providers, tried)

    async def share(self, channel: Channel) -> float:
        """How far a channel has recovered, from 0 to 1: the best of its accounts; a tiny share for a probe."""
        await self.refresh()
        now = self._clock.now()
        shares = [
            PROBE_SHARE if breaker.wants_probe(now) else breaker.share(now)
            for breaker in (account.breakers[channel] for account in self.of(channel))
        ]
        return max(shares, default=0.0)
