"""The worker of one channel and priority: polls deliveries, notes its intent, sends, and settles what comes back."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

import msgspec

from bellhouse.deliver.accounts import Account, Accounts, Obstacle
from bellhouse.deliver.conclude import Circumstances, asks_another, conclude
from bellhouse.deliver.flight import Flight, Ticket
from bellhouse.deliver.meter import Meter
from bellhouse.deliver.outcomes import (
    detail_of,
    price_of,
    settled_accepted,
    settled_flight,
    settled_found,
    settled_no_provider,
    settled_refusal,
    settled_unresolved,
    settled_waiting,
)
from bellhouse.deliver.prepare import Preparer, open_record
from bellhouse.deliver.recipient_rate import RecipientRate
from bellhouse.deliver.settler import Settled, Settler
from bellhouse.domain.attempt import Accepted, Retry, Unknown, Verdict, name_of
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import DeliveryId, TenantNo
from bellhouse.domain.retry import RetryPolicy
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.clock import Clock
from bellhouse.ports.log import Log, Polled, deliveries_topic, delivery_group
from bellhouse.ports.provider import Answers, Message
from bellhouse.ports.store import Claim, DeliverStore, Standing, StoreUnavailable
from bellhouse.ports.telemetry import Logbook, Telemetry

_IDLE_S: Final = 1.0
_SHORTEST_S: Final = 0.001
_STORE_DOWN_S: Final = 0.5
_QUOTA_WAIT_MS: Final = 200


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


class Lane:
    """Delivers one channel at one priority. Service; one of it per topic in the whole house."""

    def __init__(self, channel: Channel, priority: Priority, parts: LaneParts) -> None:
        self.name = f"{channel}-worker-{priority}"
        self._channel = channel
        self._priority = priority
        self._topic = deliveries_topic(channel, priority)
        self._group = delivery_group(channel, priority)
        self._parts = parts
        self._clock = parts.clock
        self._accounts = parts.accounts
        self._meter = Meter(channel, priority, parts.telemetry)
        self._settler = Settler(
            self._group,
            self._topic,
            parts.store,
            parts.clock,
            parts.logbook,
            self._meter,
            parts.settings.settle_pause_s,
        )
        self._interrupted: dict[tuple[DeliveryId, int], int] = {}
        """What an earlier process was sending when it ended, by delivery and step, with its intent."""
        self._answer_for: Counter[int] = Counter()
        self._by_tenant: Counter[TenantNo] = Counter()
        """In flight by tenant, of those that have any."""
        self._turns: dict[TenantNo, float] = {}
        """When the last of a tenant's deliveries that were beyond its share comes back (ms since the epoch)."""
        self._calls: set[asyncio.Task[None]] = set()
        self._draining = False

    async def start(self) -> None:
        """Learn what an earlier process was sending when it ended."""
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
                while self._settler.in_flight:
                    await self._settler.wait_for_room(self._settler.in_flight)
                settling.cancel()
        finally:
            for call in self._calls:
                call.cancel()

    def drain(self) -> None:
        self._draining = True

    async def stop(self) -> None:
        """Nothing of its own to close."""

    async def _poll_until_drained(self) -> None:
        log, settings = self._parts.log, self._parts.settings
        cursor = await log.position(self._group, self._topic)
        while not self._draining:
            await self._settler.wait_for_room(settings.window)
            try:
                pause = await self._accounts.pause(self._channel, self._priority)
                if pause:
                    await self._clock.sleep(max(_SHORTEST_S, min(pause, _IDLE_S)))
                    continue
                # No more than may go out now: what is polled and held comes back as a due row, again and again.
                limit = self._accounts.room(self._channel, self._priority, settings.batch)
                polled = await log.poll(self._topic, cursor, limit)
                if not polled:
                    await log.wait(self._topic, _IDLE_S)
                    continue
                await self.work(polled)
                cursor = polled[-1].offset
            except StoreUnavailable as down:
                self._parts.logbook.note("error", "Delivering waits for the store", reason=down.reason, error=str(down))
                await self._clock.sleep(_STORE_DOWN_S)
            await self._clock.sleep(0)

    async def work(self, polled: Sequence[Polled]) -> None:
        """Prepare a batch, note the intent to send what is ready, and begin to send it."""
        claims, interrupted = self._open(polled)
        known = await self._parts.store.standings([*claims, *interrupted])
        now = self._clock.now()
        ticket = Ticket(polled[-1].offset, len(polled))
        prepared = await self._parts.preparer.prepare(claims, known, ticket, now)
        rate = self._parts.recipient_rate
        ready, late = await rate.divide(self._channel, self._priority, prepared.ready, now)
        if ready:
            await self._accounts.claim_probes(self._channel)
        flights, held = self._assign(ready)
        held += [(flight, "recipient_rate", until) for flight, until in late]
        cancelled: frozenset[DeliveryId] = frozenset()
        if flights:
            going = [flight.claim for _, group in flights for flight in group]
            ticket.intent, cancelled = await self._parts.store.begin(self._topic, going, known.as_of, now)
            self._by_tenant.update(claim.notification.tenant for claim in going if claim.delivery.id not in cancelled)
        self._settler.polled(ticket)
        self._settler.dropped(ticket, len(polled) - len(claims) - len(interrupted) + prepared.stale + len(cancelled))
        self._parts.telemetry.repeated("deliver", prepared.stale)
        for refused in prepared.refused:
            if refused.state == "expired":
                self._meter.expired()
            if refused.state == "dead_lettered":
                self._meter.dead_lettered(refused.reason)
            self._settler.add(settled_refusal(refused, ticket, now))
        for flight, obstacle, until in held:
            self._hold(flight, obstacle, until, now)
        self._answer_for_interrupted(interrupted, known.standings[len(claims) :], ticket, now)
        for account, group in flights:
            self._send(account, [flight for flight in group if flight.delivery.id not in cancelled])

    def _open(self, polled: Sequence[Polled]) -> tuple[list[Claim], list[Claim]]:
        """The batch's records, those of a killed process apart."""
        claims: list[Claim] = []
        interrupted: list[Claim] = []
        for record in polled:
            try:
                claim = open_record(record.value)
            except msgspec.DecodeError as error:
                self._parts.logbook.note("error", "Unreadable record skipped", topic=self._topic, error=str(error))
                continue
            taken_up = (claim.delivery.id, claim.delivery.step) in self._interrupted
            (interrupted if taken_up else claims).append(claim)
        return claims, interrupted

    def _answer_for_interrupted(
        self, claims: Sequence[Claim], standings: Sequence[Standing], ticket: Ticket, now: int
    ) -> None:
        """What a killed process was sending has an unknown outcome, unless it was settled before the kill.

        News may have come meanwhile: it counts once the outcome is written, like any that overtakes its attempt.
        """
        for claim, standing in zip(claims, standings, strict=True):
            number = self._interrupted.pop((claim.delivery.id, claim.delivery.step))
            if standing.settled:
                self._settler.dropped(ticket, 1)
            else:
                self._parts.telemetry.repeated("deliver")
                detail = Detail(reason="unknown:interrupted", attempt=claim.delivery.calls + 1)
                until = now + self._parts.settings.interrupted_wait_ms
                self._settler.add(settled_waiting(claim, ticket, detail, now, until, park=False, unknown=True))
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
        taken = Counter(self._by_tenant)
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

    # --- sending ---

    def _send(self, account: Account, flights: Sequence[Flight]) -> None:
        new = [flight for flight in flights if not flight.delivery.unknown_at]
        for first in range(0, len(new), account.sheet.batch):
            self._begin(self._call(account, new[first : first + account.sheet.batch]))
        for flight in flights:
            if flight.delivery.unknown_at:
                self._begin(self._resume(account, flight))

    def _begin(self, call: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _resume(self, account: Account, flight: Flight) -> None:
        """Go on with a delivery whose last call was never answered: ask its provider, then let the policy decide."""
        asked = self._accounts.named(self._channel, flight.delivery.unknown_at)
        found = None
        if asked is not None and isinstance(asked.provider, Answers):
            try:
                found = await asked.provider.lookup(_message(flight, self._clock.now()))
            except Exception as error:
                self._failed(asked, error)
        if asked is not None and found is not None:
            self._finish(flight, settled_found(flight, asked.sheet, found, self._clock.now()))
        elif flight.after_unknown == "keep":
            self._finish(flight, settled_unresolved(flight, self._clock.now()))
        else:
            await self._call(account, [flight])

    def _finish(self, flight: Flight, settled: Settled) -> None:
        tenant = flight.notification.tenant
        self._by_tenant[tenant] -= 1
        if self._by_tenant[tenant] <= 0:
            del self._by_tenant[tenant]
        self._settler.add(settled)

    async def _call(self, account: Account, flights: Sequence[Flight]) -> None:
        """Call a provider for some deliveries; every one of them ends up settled or with another provider."""
        now = self._clock.now()
        messages: list[Message] = []
        called: list[Flight] = []
        for flight in flights:
            message = _message(flight, now)
            refusal = self._checked(account, message)
            if refusal is None:
                messages.append(message)
                called.append(flight)
            else:
                self._judge(account, flight, refusal, 0.0)
        reported = [False] * len(called)

        def report(index: int, verdict: Verdict, seconds: float) -> None:
            reported[index] = True
            self._judge(account, called[index], verdict, seconds)

        try:
            await account.provider.send(messages, report)
        except Exception as error:
            self._failed(account, error)
        for flight, done in zip(called, reported, strict=True):
            if not done:
                self._judge(account, flight, Unknown("the provider's client broke off", "client"), 0.0)
        try:
            await self._accounts.publish()
        except StoreUnavailable as down:
            self._parts.logbook.note("error", "Breakers wait for the store", reason=down.reason, error=str(down))

    def _checked(self, account: Account, message: Message) -> Verdict | None:
        """What the provider's client refuses before it calls; a client that fails here has sent nothing."""
        try:
            return account.provider.check(message)
        except Exception as error:
            self._failed(account, error)
            return Retry("the provider's client failed", "client")

    def _failed(self, account: Account, error: Exception) -> None:
        self._parts.logbook.note("error", "A provider failed", provider=account.name, error=repr(error))

    def _judge(self, account: Account, flight: Flight, verdict: Verdict, seconds: float) -> None:
        """Settle a delivery by its verdict. One that nothing can be concluded from is an unknown outcome: whatever
        fails here, a delivery that is not settled would stand in its lane's way for ever."""
        try:
            self._conclude(account, flight, verdict, seconds)
        except Exception as error:
            self._failed(account, error)
            self._conclude(account, flight, Unknown("the answer could not be judged", "client"), seconds)

    def _conclude(self, account: Account, flight: Flight, verdict: Verdict, seconds: float) -> None:
        """Settle a delivery by its verdict, or ask the next provider at once."""
        if isinstance(verdict, Accepted):
            self._accepted(account, flight, verdict, seconds)
            return
        sheet = account.sheet
        self._meter.answered(sheet.name, verdict.code, name_of(verdict), seconds)
        account.note(self._channel, verdict)
        now = self._clock.now()
        if asks_another(verdict):
            other = self._accounts.another(
                self._channel, self._priority, flight.providers, (*flight.tried, account.name)
            )
            if other is not None:
                flight.failed_over(account.name, detail_of(flight, sheet, verdict, seconds, "in_flight:failover"), now)
                self._send(other, [flight])
                return
        verdict = account.judged(verdict)
        out = account.out(self._channel)
        case = Circumstances(flight.delivery.attempt, sheet, self._parts.retry, self._parts.luck(), out)
        conclusion = conclude(verdict, case)
        settled = settled_flight(flight, sheet, verdict, seconds, conclusion, now)
        if conclusion.state == "dead_lettered":
            self._meter.dead_lettered(conclusion.reason)
        if conclusion.state == "waiting" and conclusion.counts:
            self._meter.retried(sheet.name, flight.delivery.attempt + 1)
        self._parts.logbook.delivery_attempted(
            flight.delivery.id, self._channel, sheet.name, False, seconds * 1000, verdict.code
        )
        self._finish(flight, settled)

    def _accepted(self, account: Account, flight: Flight, verdict: Accepted, seconds: float) -> None:
        sheet = account.sheet
        price = price_of(verdict, sheet)
        self._meter.answered(sheet.name, verdict.code, "accepted", seconds)
        if price:
            self._meter.paid(sheet.name, sheet.currency, price)
        account.note(self._channel, verdict)
        now = self._clock.now()
        if verdict.delivered:
            self._meter.delivered(flight.notification.type)
        if verdict.delivered or not sheet.confirms:
            self._meter.ended(max(0, now - flight.delivery.ready_at) / 1000)
        self._finish(flight, settled_accepted(flight, sheet, verdict, price, seconds, now))


def _message(flight: Flight, now: int) -> Message:
    delivery, notification = flight.delivery, flight.notification
    return Message(
        delivery.id,
        flight.call,
        delivery.channel,
        delivery.priority,
        flight.address,
        flight.content,
        max(1, (delivery.expires_at - now) // 1000),
        notification.collapse_key,
        recipient=notification.recipient,
        tenant=notification.tenant,
        type=notification.type,
    )
