"""Sends what a lane has begun: calls providers, fails over at once, and turns each verdict into an outcome."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence

import msgspec

from bellhouse.deliver.accounts import Account, Accounts
from bellhouse.deliver.conclude import Circumstances, asks_another, conclude
from bellhouse.deliver.flight import Flight
from bellhouse.deliver.meter import Meter
from bellhouse.deliver.outcomes import (
    detail_of,
    price_of,
    settled_accepted,
    settled_flight,
    settled_found,
    settled_unresolved,
)
from bellhouse.deliver.settler import Settled, Settler
from bellhouse.domain.attempt import Accepted, Retry, Unknown, Verdict, name_of
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.retry import RetryPolicy
from bellhouse.domain.trace import id_of, is_sampled
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Answers, Message
from bellhouse.ports.store.errors import StoreUnavailable
from bellhouse.ports.telemetry import Logbook
from bellhouse.ports.tracing import NO_TRACING, Tracing


async def at_once() -> None:
    """The trust of a process from which nobody else could take over."""


class SenderParts(msgspec.Struct, frozen=True):
    """What a sender works with."""

    accounts: Accounts
    settler: Settler
    meter: Meter
    retry: RetryPolicy
    luck: Callable[[], float]
    clock: Clock
    logbook: Logbook
    trusted: Callable[[], Awaitable[None]] = at_once
    """Returns while the others trust this process to be alive; waits where it has been away too long to know. Asked
    before each call of a provider, so that what has been taken over is not sent once more."""
    tracing: Tracing = NO_TRACING


class Sender:
    """The calls of one lane."""

    def __init__(self, channel: Channel, priority: Priority, parts: SenderParts) -> None:
        self._channel = channel
        self._priority = priority
        self._parts = parts
        self._accounts = parts.accounts
        self._clock = parts.clock
        self._meter = parts.meter
        self._calls: set[asyncio.Task[None]] = set()
        self.by_tenant: Counter[TenantNo] = Counter()
        """In flight by tenant, of those that have any."""

    def cancel(self) -> None:
        """Break off all calls; what they were about is found by its intents."""
        for call in self._calls:
            call.cancel()

    def send(self, account: Account, flights: Sequence[Flight]) -> None:
        """Begin to send; each flight ends up settled."""
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
        self.by_tenant[tenant] -= 1
        if self.by_tenant[tenant] <= 0:
            del self.by_tenant[tenant]
        self._parts.settler.add(settled)

    async def _call(self, account: Account, flights: Sequence[Flight]) -> None:
        """Call a provider for some deliveries; every one of them ends up settled or with another provider."""
        await self._parts.trusted()
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
                self._tell(flight, sheet.name, False, seconds, verdict.code)
                flight.failed_over(account.name, detail_of(flight, sheet, verdict, seconds, "in_flight:failover"), now)
                self.send(other, [flight])
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
        self._tell(flight, sheet.name, False, seconds, verdict.code)
        self._finish(flight, settled)

    def _tell(self, flight: Flight, provider: str, success: bool, seconds: float, error: str | None = None) -> None:
        notification = flight.notification
        self._parts.logbook.delivery_attempted(
            flight.delivery.id,
            self._channel,
            provider,
            success,
            seconds * 1000,
            error,
            user_id=notification.user_id,
            tenant=notification.tenant,
            trace_id=id_of(notification.traceparent),
        )

    def _accepted(self, account: Account, flight: Flight, verdict: Accepted, seconds: float) -> None:
        sheet = account.sheet
        price = price_of(verdict, sheet)
        self._meter.answered(sheet.name, verdict.code, "accepted", seconds)
        if price:
            self._meter.paid(sheet.name, sheet.currency, price, flight.notification)
        account.note(self._channel, verdict)
        now = self._clock.now()
        if verdict.delivered:
            self._meter.delivered(flight.notification.type)
        if verdict.delivered or not sheet.confirms:
            took_ms = max(0, now - flight.delivery.ready_at)
            self._meter.ended(took_ms / 1000)
            self._keep_if_slow(flight, took_ms)
        self._tell(flight, sheet.name, True, seconds)
        self._finish(flight, settled_accepted(flight, sheet, verdict, price, seconds, now))

    def _keep_if_slow(self, flight: Flight, took_ms: int) -> None:
        """Ask for the trace of one whose way was long, and which is not recorded; nobody waits for low."""
        tracing, notification = self._parts.tracing, flight.notification
        if self._priority != "low" and tracing.is_slow(took_ms) and not is_sampled(notification.traceparent):
            tracing.keep(notification.id)


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
