"""The worker of one channel and priority: polls deliveries, sees who has them in hand, and notes its intent to send."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from bellhouse.deliver.accounts import Account, Accounts, Obstacle
from bellhouse.deliver.flight import Flight, Ticket
from bellhouse.deliver.levers import NOTHING_PULLED, ReadPulled, nothing_pulled
from bellhouse.deliver.meter import Meter
from bellhouse.deliver.outcomes import (
    settled_no_provider,
    settled_refusal,
    settled_waiting,
)
from bellhouse.deliver.prepare import Preparer, open_record
from bellhouse.deliver.recipient_rate import RecipientRate
from bellhouse.deliver.sender import Sender, SenderParts, at_once
from bellhouse.deliver.settler import Settler
from bellhouse.deliver.tracing import LaneTracing
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import DeliveryId, TenantNo
from bellhouse.domain.retry import RetryPolicy
from bellhouse.domain.words import Channel, Priority
from bellhouse.policy.pauses import NO_BRAKES, Brakes, brakes_of
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log, LogUnavailable, Polled, Reader, deliveries_topic, ends_of
from bellhouse.ports.store.deliver import Claim, DeliverStore, Standing, Standings
from bellhouse.ports.store.errors import LeaseLost, StoreUnavailable
from bellhouse.ports.telemetry import Logbook, Telemetry
from bellhouse.ports.tracing import NO_TRACING, Tracing

_IDLE_S: Final = 1.0
_SHORTEST_S: Final = 0.001
_AWAY_S: Final = 0.5
"""How long it leaves a store or log alone that is away."""
_LOOK_AGAIN_S: Final = 0.5
"""How often it asks what has become of records that somebody else is sending."""
_QUOTA_WAIT_MS: Final = 200
_PAUSED_S: Final = 0.2
"""How often a lane that is paused as a whole looks whether it still is."""


class LaneSettings(msgspec.Struct, frozen=True):
    """How a lane works."""

    batch: int = 200
    """Deliveries a poll."""
    window: int = 2_000
    """Deliveries in flight at most; reaching it, the lane polls no more."""
    settle_pause_s: float = 0.02
    """How long outcomes gather before they are written, when there are few."""
    tenant_share: float = 0.5
    """The part of the window that one tenant may fill while others send too."""
    interrupted_wait_ms: int = 2_000
    """How long a delivery of a killed process waits for news before its policy decides."""


class LaneParts(msgspec.Struct, frozen=True):
    """What a lane works with."""

    store: DeliverStore
    log: Log
    clock: Clock
    telemetry: Telemetry
    logbook: Logbook
    preparer: Preparer
    accounts: Accounts
    retry: RetryPolicy
    luck: Callable[[], float]
    settings: LaneSettings = LaneSettings()
    recipient_rate: RecipientRate = RecipientRate()
    trusted: Callable[[], Awaitable[None]] = at_once
    """`SenderParts.trusted`."""
    pulled: ReadPulled = nothing_pulled
    """The levers that are pulled."""
    tracing: Tracing = NO_TRACING


class _New(msgspec.Struct, frozen=True):
    """Claims that nobody has in hand, with what is known of them."""

    claims: Sequence[Claim]
    known: Standings


class Lane:
    """Delivers one channel at one priority. Service; several of it share the partitions of their topic."""

    def __init__(self, channel: Channel, priority: Priority, parts: LaneParts) -> None:
        self.name = f"{channel}-worker-{priority}"
        self._channel = channel
        self._priority = priority
        self._topic = deliveries_topic(channel, priority)
        self._reader: Reader = parts.log.reader(self._topic)
        self._parts = parts
        self._clock = parts.clock
        self._accounts = parts.accounts
        self._meter = Meter(channel, priority, parts.telemetry)
        self._tracing = LaneTracing(channel, self._topic, parts.tracing, parts.clock)
        self._settler = Settler(
            self._topic,
            self._reader,
            parts.store,
            parts.clock,
            parts.logbook,
            self._meter,
            parts.settings.settle_pause_s,
            self._tracing,
        )
        self._sender = Sender(
            channel,
            priority,
            SenderParts(
                parts.accounts,
                self._settler,
                self._meter,
                parts.retry,
                parts.luck,
                parts.clock,
                parts.logbook,
                parts.trusted,
                parts.tracing,
            ),
        )
        self._interrupted: dict[tuple[DeliveryId, int], int] = {}
        """What an earlier process was sending when it ended, by delivery and step, with its intent."""
        self._answer_for: Counter[int] = Counter()
        self._turns: dict[TenantNo, float] = {}
        """When the last of a tenant's deliveries that were beyond its share comes back (ms since the epoch)."""
        self._elsewhere: list[tuple[Ticket, list[Claim]]] = []
        """Records that another process is sending: they are settled here when it has settled them, or has died."""
        self._look_again_at = 0.0
        self._pulled = NOTHING_PULLED
        self._brakes = NO_BRAKES
        """What the levers that were seen last mean for this lane."""
        self._draining = False
        self._leaving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the topic's group, and learn what an earlier process was sending when it ended."""
        await self._reader.start()
        for intent in await self._parts.store.open_intents(self._topic):
            named = zip(intent.deliveries, intent.steps, strict=True)
            self._interrupted.update(dict.fromkeys(named, intent.number))
            self._answer_for[intent.number] = len(intent.deliveries)
            if not intent.deliveries:
                self._settler.forget_intent(intent.number)

    async def run(self) -> None:
        try:
            # A settler that fails must not leave a lane behind that fills up and stands still.
            async with asyncio.TaskGroup() as group:
                settling = group.create_task(self._settler.run())
                await self._poll_until_drained()
                # Whoever is sending these settles them; their position stays where it is for the next reader.
                self._settler.hand_back(sum(len(claims) for _, claims in self._elsewhere))
                while self._settler.in_flight:
                    await self._settler.wait_for_room(self._settler.in_flight)
                settling.cancel()
        finally:
            self._sender.cancel()
        # All lanes leave their groups side by side.
        self._leaving = asyncio.create_task(self._reader.stop())

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        await (self._leaving or self._reader.stop())

    async def _poll_until_drained(self) -> None:
        polled: Sequence[Polled] = ()
        lease_lost = False
        while not self._draining:
            # What another process is sending takes no room: it is looked after here, and would never be.
            elsewhere = sum(len(claims) for _, claims in self._elsewhere)
            await self._settler.wait_for_room(self._parts.settings.window + elsewhere)
            try:
                if lease_lost:
                    await self._reader.rejoin()
                    polled, lease_lost = (), False
                # What could not be begun is tried again before anything else is polled.
                polled = polled or await self._poll()
                if polled:
                    await self.work(polled)
                    self._reader.taken()
                    polled = ()
                looks = self._elsewhere and self._clock.monotonic() >= self._look_again_at
                if looks and self._braked().whole is None:
                    await self._look_again()
            except LeaseLost:
                lease_lost = True
            except StoreUnavailable as down:
                self._parts.logbook.note("error", "Delivering waits for the store", reason=down.reason, error=str(down))
                await self._clock.sleep(_AWAY_S)
            except LogUnavailable as down:
                self._parts.logbook.note("error", "Delivering waits for the log", reason=down.reason, error=str(down))
                await self._clock.sleep(_AWAY_S)
            await self._clock.sleep(0)

    async def _poll(self) -> Sequence[Polled]:
        """The next records, as many as may go out now; after a wait, and perhaps none, where that is none."""
        if self._braked().whole is not None:
            await self._clock.sleep(_PAUSED_S)
            return ()
        pause = await self._accounts.pause(self._channel, self._priority)
        if pause:
            await self._clock.sleep(max(_SHORTEST_S, min(pause, _IDLE_S)))
            return ()
        # No more than may go out now: what is polled and held comes back as a due row, again and again.
        limit = self._accounts.room(self._channel, self._priority, self._parts.settings.batch)
        polled = await self._reader.poll(limit)
        if not polled:
            await self._reader.wait(_LOOK_AGAIN_S if self._elsewhere else _IDLE_S)
        return polled

    def _braked(self) -> Brakes:
        """The brakes of this lane as they are now."""
        pulled = self._parts.pulled()
        if pulled is not self._pulled:
            self._pulled, self._brakes = pulled, brakes_of(pulled.pauses, self._channel, self._priority)
        return self._brakes

    async def work(self, polled: Sequence[Polled]) -> None:
        """Take on a polled batch."""
        claims = self._open(polled)
        ticket = Ticket(ends_of(polled), len(polled))
        await self._admit(claims, ticket, len(polled) - len(claims))

    async def _look_again(self) -> None:
        """Ask what has become of the records that another process was sending."""
        self._look_again_at = self._clock.monotonic() + _LOOK_AGAIN_S
        waiting, self._elsewhere = self._elsewhere, []
        while waiting:
            ticket, claims = waiting.pop()
            try:
                await self._admit(claims, ticket)
            except BaseException:
                self._elsewhere += [*waiting, (ticket, claims)]
                raise

    async def _admit(self, claims: Sequence[Claim], ticket: Ticket, unreadable: int | None = None) -> None:
        """Prepare claims, note the intent to send what is ready, and begin to send it.

        `unreadable`: the batch was polled just now, and so many of its records cannot be opened.
        """
        began = self._clock.monotonic()
        known = await self._parts.store.standings(claims)
        now = self._clock.now()
        new, elsewhere, interrupted = self._divide(claims, known)
        prepared = await self._parts.preparer.prepare(new.claims, new.known, ticket, now, self._braked())
        if self._tracing.on:
            self._tracing.looked_up(ticket, [*new.claims, *(claim for claim, _ in interrupted)], began)
        rate = self._parts.recipient_rate
        ready, late = await rate.divide(self._channel, self._priority, prepared.ready, now)
        if ready:
            await self._accounts.claim_probes(self._channel)
        flights, held = self._assign(ready)
        held += [(flight, "recipient_rate", until) for flight, until in late]
        cancelled: frozenset[DeliveryId] = frozenset()
        if flights:
            going = [flight.claim for _, group in flights for flight in group]
            intent, cancelled = await self._parts.store.begin(self._topic, going, known.as_of, now)
            if intent:
                ticket.intents.append(intent)
            self._sender.by_tenant.update(
                claim.notification.tenant for claim in going if claim.delivery.id not in cancelled
            )
        if unreadable is not None:
            self._settler.polled(ticket)
        if elsewhere:
            self._elsewhere.append((ticket, elsewhere))
        self._settler.dropped(ticket, (unreadable or 0) + prepared.stale + len(cancelled))
        self._parts.telemetry.repeated("deliver", prepared.stale)
        for refused in prepared.refused:
            if refused.state == "expired":
                self._meter.expired()
            if refused.state == "dead_lettered":
                self._meter.dead_lettered(refused.reason)
            self._settler.add(settled_refusal(refused, ticket, now))
        for flight, obstacle, until in held:
            self._hold(flight, obstacle, until, now)
        for claim, standing in interrupted:
            self._answer_for_interrupted(claim, standing, ticket, now)
        for account, group in flights:
            self._sender.send(account, [flight for flight in group if flight.delivery.id not in cancelled])

    def _open(self, polled: Sequence[Polled]) -> list[Claim]:
        claims: list[Claim] = []
        for record in polled:
            try:
                claims.append(open_record(record.value, record.again))
            except msgspec.DecodeError as error:
                self._parts.logbook.note("error", "Unreadable record skipped", topic=self._topic, error=str(error))
                self._parts.telemetry.unreadable(self._topic)
                # There is no delivery to be put away; that there are such records shall be seen where dead letters are.
                self._meter.dead_lettered("dead_lettered:unreadable")
        return claims

    def _divide(
        self, claims: Sequence[Claim], known: Standings
    ) -> tuple["_New", list[Claim], list[tuple[Claim, Standing]]]:
        """Those that nobody has in hand, those that another process is sending, and those of a killed process."""
        if not self._interrupted and all(standing.sending == "no" for standing in known.standings):
            return _New(claims, known), [], []
        new: list[tuple[Claim, Standing]] = []
        elsewhere: list[Claim] = []
        interrupted: list[tuple[Claim, Standing]] = []
        for claim, standing in zip(claims, known.standings, strict=True):
            if standing.sending == "interrupted" or (claim.delivery.id, claim.delivery.step) in self._interrupted:
                interrupted.append((claim, standing))
            elif standing.sending == "elsewhere":
                elsewhere.append(claim)
            else:
                new.append((claim, standing))
        standings = [standing for _, standing in new]
        return (
            _New([claim for claim, _ in new], Standings(standings, known.facts, known.as_of)),
            elsewhere,
            interrupted,
        )

    def _answer_for_interrupted(self, claim: Claim, standing: Standing, ticket: Ticket, now: int) -> None:
        """What a killed process was sending has an unknown outcome, unless it was settled before the kill.

        News may have come meanwhile: it counts once the outcome is written, like any that overtakes its attempt.
        """
        number = self._interrupted.pop((claim.delivery.id, claim.delivery.step), 0)
        if standing.settled:
            self._settler.dropped(ticket, 1)
        else:
            self._parts.telemetry.repeated("deliver")
            detail = Detail(reason="unknown:interrupted", attempt=claim.delivery.calls + 1)
            until = now + self._parts.settings.interrupted_wait_ms
            self._settler.add(settled_waiting(claim, ticket, detail, now, until, park=False, unknown=True))
        if number:
            self._answer_for[number] -= 1
            if self._answer_for[number] == 0:
                del self._answer_for[number]
                self._settler.forget_intent(number)

    def _assign(
        self, ready: Sequence[Flight]
    ) -> tuple[list[tuple[Account, list[Flight]]], list[tuple[Flight, Obstacle, int]]]:
        """Choose an account for each delivery; those that none can take now are held, with the reason."""
        accounts, settings = self._accounts, self._parts.settings
        chosen: dict[str, tuple[Account, list[Flight]]] = {}
        held: list[tuple[Flight, Obstacle, int]] = []
        quota = int(settings.window * settings.tenant_share)
        taken = Counter(self._sender.by_tenant)
        with accounts.offer(self._channel, self._priority, len(ready)) as offer:
            for flight in ready:
                tenant = flight.notification.tenant
                if len(taken) > 1 and taken[tenant] >= quota:
                    held.append((flight, "quota", self._next_turn(tenant, quota)))
                    continue
                account = offer.take(flight.providers, flight.tried)
                if account is None:
                    held.append((flight, *offer.obstacle(flight.providers)))
                    continue
                taken[tenant] += 1
                flight.passed_over = offer.passed_over(account, flight.providers, flight.tried)
                if account.name in chosen:
                    chosen[account.name][1].append(flight)
                else:
                    chosen[account.name] = (account, [flight])
        return list(chosen.values()), held

    def _next_turn(self, tenant: TenantNo, quota: int) -> int:
        """When the next delivery beyond its tenant's share comes back: a share each while behind the last one, so that
        a large backlog does not go round and round."""
        earliest = self._clock.now() + _QUOTA_WAIT_MS
        turn = max(self._turns.get(tenant, 0.0), earliest) + _QUOTA_WAIT_MS / max(1, quota)
        self._turns[tenant] = turn
        return int(turn)

    def _hold(self, flight: Flight, obstacle: Obstacle, until: int, now: int) -> None:
        """Let a delivery wait, unspent, for what stands in its way."""
        if obstacle == "none":
            self._settler.add(settled_no_provider(flight, now))
            self._meter.dead_lettered("dead_lettered:no_provider")
            return
        park = obstacle == "outage"
        end = flight.delivery.expires_at + 1
        moment = end if park else min(until, end)
        detail = Detail(reason=f"waiting:{obstacle}")
        self._settler.add(settled_waiting(flight.claim, flight.ticket, detail, now, moment, park=park))
