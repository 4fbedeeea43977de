"""Whatever happens to deliveries, in whatever order and with kills in between, the store agrees with a simple model,
its ledger balances, and nothing is lost or sent twice without a word.

The worker here is the lane without its clock and providers: it polls, asks for standings, notes intents, settles, and
loses everything but the file when it is killed.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bellhouse.adapters.doorbell import LocalDoorbell
from bellhouse.adapters.store.sqlite import SqliteStore
from bellhouse.domain.delivery import Detail, Event, NewsKind, settled
from bellhouse.domain.ids import DeliveryId, notification_of
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import DeliveryState
from bellhouse.ports.log import GROUP_OF, Position, deliveries_topic, notifications_topic
from bellhouse.ports.store.confirm import NewsRow
from bellhouse.ports.store.deliver import Claim, DeadLetter, Outcome, Settlement
from bellhouse.testing.records import HOUR, NOON, acceptance, found_tenant, notification, open_claim, outcome, routed

PUSH = deliveries_topic("push", "normal")
NORMAL = notifications_topic("normal")
WAIT = 1_000

T = TypeVar("T")
encode = msgspec.msgpack.Encoder().encode


class Model:
    """One delivery as it should be."""

    def __init__(self) -> None:
        self.worker: DeliveryState = "waiting"
        self.steps = 0
        self.last_attempt = 0
        self.calls = 0
        """How many calls were ever begun."""
        self.news: list[tuple[int, NewsKind]] = []
        self.sending = False

    @property
    def state(self) -> DeliveryState:
        return settled(self.worker, self.last_attempt, self.news)

    @property
    def shown(self) -> DeliveryState:
        return "in_flight" if self.sending else self.state

    def stands(self, claim: Claim) -> bool:
        """Whether a record in the worker's hands still asks for something to be done."""
        wanted = "unknown" if claim.delivery.unknown_since else "waiting"
        return not self.sending and self.steps == claim.delivery.step and self.state == wanted

    def step(self, state: DeliveryState, attempt: int = 0) -> None:
        self.worker = state
        self.steps += 1
        self.last_attempt = max(self.last_attempt, attempt)
        self.sending = False


class Lifecycle(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.store = self.opened()
        self.now = NOON
        self.items: list[Notification] = []
        self.deliveries: dict[DeliveryId, Model] = {}
        self.hands: list[tuple[int, Claim, int]] = []
        """What has been polled and looked at: offset, claim, the count of acts when it was."""
        self.flights: list[tuple[int, Claim, int]] = []
        """What is being sent: offset, claim, intent."""
        self.interrupted: dict[tuple[DeliveryId, int], int] = {}
        self.open: dict[int, set[DeliveryId]] = {}
        """What each intent still waits for."""
        self.unsettled: set[int] = set()
        self.cursor = 0
        self.event = 0

    def opened(self) -> SqliteStore:
        return SqliteStore(Path(self.folder.name) / "bellhouse.db", LocalDoorbell())

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        try:
            self.everything_comes_to_an_end()
        finally:
            self.store.close()
            self.loop.close()
            self.folder.cleanup()

    @initialize()
    def tenant_is_there(self) -> None:
        self.tenant, (self.recipient, *_) = self.run(found_tenant(self.store.catalogue, self.store.recipients))

    # --- the way in ---

    @rule(count=st.integers(1, 2), later=st.booleans())
    def accept_and_decide(self, count: int, later: bool) -> None:
        self.now += 1  # so that ids, and all that is sorted by them, are in the order of their making
        item = notification(self.tenant, self.recipient, self.now)
        self.run(self.store.ingest.accept([acceptance(item)], self.now))
        decision = routed(item, count, self.now + WAIT if later else 0)
        offset = self.run(self.store.log.poll(NORMAL, 0, 1000))[-1].offset
        self.run(self.store.route.decide([decision], self.now, [Position(GROUP_OF[NORMAL], NORMAL, offset)]))
        self.items.append(item)
        self.deliveries.update({delivery.id: Model() for delivery in decision.deliveries})

    # --- the worker ---

    @rule(count=st.integers(1, 3))
    def poll(self, count: int) -> None:
        records = self.run(self.store.log.poll(PUSH, self.cursor, count))
        if not records:
            return
        claims = [(record.offset, open_claim(record.value)) for record in records]
        known = self.run(self.store.deliver.standings([claim for _, claim in claims]))
        self.cursor = records[-1].offset
        self.unsettled.update(record.offset for record in records)
        for (offset, claim), standing in zip(claims, known.standings, strict=True):
            intent = self.interrupted.pop((claim.delivery.id, claim.delivery.step), None)
            if intent is not None:
                assert not standing.settled
                self.answer_for(offset, claim, intent)
            elif standing.stale:
                assert not self.deliveries[claim.delivery.id].stands(claim)
                self.unsettled.discard(offset)
            else:
                assert self.deliveries[claim.delivery.id].stands(claim)
                self.hands.append((offset, claim, known.as_of))

    def answer_for(self, offset: int, claim: Claim, intent: int) -> None:
        """A killed process was sending it: its outcome is unknown."""
        unknown = outcome(claim, "unknown", self.now, again_at=self.now + WAIT)
        self.settle([unknown], offset, claim.delivery.id, intent)
        self.deliveries[claim.delivery.id].step("unknown", claim.delivery.calls + 1)

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def begin(self, data: Any) -> None:
        self.hands.sort(key=lambda held: held[2])
        count = data.draw(st.integers(1, len(self.hands)))
        taken, self.hands = self.hands[:count], self.hands[count:]
        claims = [claim for _, claim, _ in taken]
        number, cancelled = self.run(self.store.deliver.begin(PUSH, claims, taken[0][2], self.now))
        for offset, claim, _ in taken:
            model = self.deliveries[claim.delivery.id]
            assert model.stands(claim) == (claim.delivery.id not in cancelled)
            if claim.delivery.id in cancelled:
                self.unsettled.discard(offset)
                continue
            model.sending = True
            model.calls = claim.delivery.calls + 1
            self.open.setdefault(number, set()).add(claim.delivery.id)
            self.flights.append((offset, claim, number))

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), how=st.sampled_from(("held", "parked", "expired", "cancelled", "dead_lettered")))
    def refuse(self, data: Any, how: str) -> None:
        """End what was never sent, or let it wait; something else may have moved it meanwhile."""
        offset, claim, _ = self.hands.pop(data.draw(st.integers(0, len(self.hands) - 1)))
        before: DeliveryState = "unknown" if claim.delivery.unknown_since else "waiting"
        model = self.deliveries[claim.delivery.id]
        state: DeliveryState = before if how in ("held", "parked") else how  # type: ignore[assignment]  # three states
        detail = encode(Detail(reason="test"))
        event = Event(claim.delivery.id, "worker", claim.delivery.step, state, self.now, before, detail)
        again = None
        if state == before:
            again = msgspec.structs.replace(claim.delivery, step=claim.delivery.step + 1, parked=how == "parked")
        concluded = Outcome(event, self.tenant, again, self.now + WAIT, how == "parked")
        letters = self.letter(claim, 1, claim.delivery.calls) if state == "dead_lettered" else []
        self.settle([concluded], offset, claim.delivery.id, 0, letters)
        if model.stands(claim):
            model.step(state)

    @precondition(lambda self: self.flights)
    @rule(
        data=st.data(),
        state=st.sampled_from(("sent", "delivered", "failed", "waiting", "unknown", "dead_lettered")),
        failed_over=st.booleans(),
    )
    def answered(self, data: Any, state: DeliveryState, failed_over: bool) -> None:
        offset, claim, intent = self.flights.pop(data.draw(st.integers(0, len(self.flights) - 1)))
        model, delivery = self.deliveries[claim.delivery.id], claim.delivery
        outcomes = []
        if failed_over:
            detail = encode(Detail(reason="failover", attempt=delivery.calls + 1))
            event = Event(delivery.id, "worker", delivery.step, "in_flight", self.now, "in_flight", detail)
            outcomes.append(Outcome(event, self.tenant))
            model.step("in_flight", delivery.calls + 1)
            model.calls = delivery.calls + 2
            claim = msgspec.structs.replace(
                claim, delivery=msgspec.structs.replace(delivery, step=delivery.step + 1, calls=delivery.calls + 1)
            )
        goes_on = state in ("waiting", "unknown")
        outcomes.append(outcome(claim, state, self.now, again_at=self.now + WAIT if goes_on else None))
        letters = self.letter(claim, 1, model.calls) if state == "dead_lettered" else []
        self.settle(outcomes, offset, delivery.id, intent, letters)
        model.step(state, claim.delivery.calls + 1)

    def letter(self, claim: Claim, steps: int, calls: int) -> list[DeadLetter]:
        record = msgspec.structs.replace(claim.delivery, step=claim.delivery.step + steps, calls=calls)
        return [DeadLetter(record, claim.notification, "dead_lettered:attempts_exhausted", self.now)]

    def settle(
        self,
        outcomes: list[Outcome],
        offset: int,
        delivery: DeliveryId,
        intent: int,
        letters: list[DeadLetter] | None = None,
    ) -> None:
        """Write an outcome with what is done by it: an intent of which it was the last, and the log's position."""
        self.unsettled.discard(offset)
        done = min(self.unsettled, default=self.cursor + 1) - 1
        ended = []
        if intent:
            self.open[intent].discard(delivery)
            ended = [intent] if not self.open[intent] else []
        position = Position(GROUP_OF[PUSH], PUSH, done)
        self.run(self.store.deliver.settle(Settlement(outcomes, letters or [], intents=ended, done=[position])))

    @rule()
    def kill(self) -> None:
        """The process ends between two transactions, and another one takes its place."""
        self.store.close()
        self.store = self.opened()
        self.hands, self.flights, self.unsettled, self.interrupted, self.open = [], [], set(), {}, {}
        self.cursor = self.run(self.store.log.position(GROUP_OF[PUSH], PUSH))
        for intent in self.run(self.store.deliver.open_intents(PUSH)):
            named = list(zip(intent.deliveries, intent.steps, strict=True))
            self.interrupted.update(dict.fromkeys(named, intent.number))
            self.open[intent.number] = set(intent.deliveries)
        sending = {identifier for identifier, model in self.deliveries.items() if model.sending}
        assert {identifier for identifier, _ in self.interrupted} == sending

    # --- the world ---

    @precondition(lambda self: any(model.calls for model in self.deliveries.values()))
    @rule(data=st.data(), kind=st.sampled_from(("accepted", "delivered", "failed")), repeated=st.booleans())
    def news(self, data: Any, kind: NewsKind, repeated: bool) -> None:
        """A provider reports on a call: also on one that a flight has failed over to and that a kill may forget."""
        identifier = data.draw(st.sampled_from([i for i, model in self.deliveries.items() if model.calls]))
        model = self.deliveries[identifier]
        attempt = data.draw(st.integers(1, model.calls + model.sending))
        self.event += 1
        detail = encode(Detail(attempt=attempt, news=kind))
        row = NewsRow(identifier, self.event, attempt, kind, self.now, detail)
        before = model.shown
        model.news.append((attempt, kind))
        result = self.run(self.store.confirm.news([row, row] if repeated else [row]))
        assert result.repeated == repeated
        assert bool(result.moved) == (model.shown != before)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        item = data.draw(st.sampled_from(self.items))
        result = self.run(self.store.ingest.cancel(self.tenant, item.id, self.now, "caller"))
        own = [model for identifier, model in self.deliveries.items() if notification_of(identifier) == item.id]
        stoppable = [model for model in own if model.shown in ("waiting", "unknown")]
        assert (result == "cancelled") == bool(stoppable)
        for model in stoppable:
            model.step("cancelled")

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data(), discard=st.booleans())
    def replay_or_discard(self, data: Any, discard: bool) -> None:
        identifier = data.draw(st.sampled_from(list(self.deliveries)))
        model, letters = self.deliveries[identifier], self.store.dead_letters
        if discard:
            self.run(letters.discard([identifier], None, self.now, "ops", "why"))
        else:
            replayed = self.run(letters.replay([identifier], None, self.now, HOUR, "ops"))
            assert replayed == (model.state == "dead_lettered")
        if model.state == "dead_lettered":
            model.step("cancelled" if discard else "waiting")

    @rule(limit=st.integers(1, 3))
    def time_goes_on(self, limit: int) -> None:
        self.now += WAIT // 2
        self.run(self.store.due.release_due(self.now, limit))

    @rule(limit=st.integers(1, 3))
    def outage_ends(self, limit: int) -> None:
        self.run(self.store.due.release_parked("push", "normal", limit))

    # --- what holds ---

    @invariant()
    def the_ledger_balances_and_agrees(self) -> None:
        ledger = self.run(self.store.insights.ledger(None, self.now, True))
        assert [check for check in ledger.checks if not check.holds] == []
        shown = {line.state: line.counted for line in ledger.lines if line.level == "delivery" and line.counted}
        assert shown == dict(Counter(model.shown for model in self.deliveries.values()))

    def everything_comes_to_an_end(self) -> None:
        """Whatever waits is still somewhere from where it comes back: nothing is lost."""
        for _ in range(6):
            self.now += 10 * WAIT
            while self.run(self.store.due.release_due(self.now, 100)):
                pass
            while self.run(self.store.log.poll(PUSH, self.cursor, 1)):
                self.poll(3)
            for offset, claim, _ in self.hands:
                number, cancelled = self.run(self.store.deliver.begin(PUSH, [claim], -1, self.now))
                if claim.delivery.id not in cancelled:
                    self.deliveries[claim.delivery.id].sending = True
                    self.open[number] = {claim.delivery.id}
                    self.flights.append((offset, claim, number))
            self.hands = []
            for offset, claim, intent in self.flights:
                self.settle([outcome(claim, "sent", self.now)], offset, claim.delivery.id, intent)
                self.deliveries[claim.delivery.id].step("sent", claim.delivery.calls + 1)
            self.flights = []
        self.the_ledger_balances_and_agrees()
        left = {model.shown for model in self.deliveries.values()}
        assert not left & {"waiting", "unknown", "in_flight"}


Lifecycle.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLifecycle = Lifecycle.TestCase
