"""The breaker against a plain model, whatever it is told in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bellhouse.deliver.breaker import Breaker, BreakerSettings
from bellhouse.ports.store.providers import BreakerRow

SMALL = BreakerSettings(
    failures=3, share=0.5, volume=10, window_ms=1_000, open_ms=500, probe_timeout_ms=300, ramp_ms=400
)
NAMES = ("a", "b")


class OneBreaker(RuleBasedStateMachine):
    """One process: the model keeps every call, and says from them what must be."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker("fcm", "push", SMALL, "a")
        self.now = 1_700_000_000_000
        self.state = "closed"
        self.forced = "none"
        self.since = 0
        self.run = 0
        self.calls: list[tuple[int, bool]] = []

    def move(self, state: str) -> None:
        self.state, self.since = state, self.now
        if state == "closed":
            self.run, self.calls = 0, []

    @rule(by=st.integers(0, 700))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(outcomes=st.lists(st.booleans(), min_size=1, max_size=20) | st.just([False] * 3) | st.just([True]))
    def outcomes_come_in(self, outcomes: list[bool]) -> None:
        # Runs are recorded as one: the model judges a run at its end, as the breaker does.
        before = self.state
        for i, ok in enumerate(outcomes):
            ends_run = i + 1 == len(outcomes) or outcomes[i + 1] != ok
            if self.state == "closed":
                self.calls.append((self.now, ok))
                self.run = 0 if ok else self.run + 1
                if not ok and ends_run and self.forced == "none" and self.is_broken():
                    self.move("open")
            elif self.state == "half_open" and self.forced == "none" and ends_run:
                self.move("closed" if ok else "open")
        transition = self.breaker.record(outcomes, self.now)
        assert (transition is not None) or before == self.state
        if transition is not None:
            assert transition.new == self.state

    def is_broken(self) -> bool:
        width = SMALL.window_ms // 10
        recent = [ok for at, ok in self.calls if self.now // width - at // width < 10]
        failed = recent.count(False)
        return self.run >= SMALL.failures and (len(recent) < SMALL.volume or failed >= SMALL.share * len(recent))

    @rule()
    def somebody_asks(self) -> None:
        gate = self.breaker.allow(self.now)
        waited = self.now - self.since
        if self.forced != "none":
            assert gate == ("yes" if self.forced == "closed" else "no")
        elif self.state == "closed":
            assert gate == "yes"
        elif waited < (SMALL.open_ms if self.state == "open" else SMALL.probe_timeout_ms):
            assert gate == "no"
        else:
            assert gate == "probe"
            assert self.breaker.allow(self.now) == "no"
            self.move("half_open")

    @rule(forced=st.sampled_from(["none", "open", "closed"]))
    def an_operator_forces_it(self, forced: str) -> None:
        self.breaker.force(forced, self.now)
        self.forced = forced
        self.move("open" if forced == "open" else "closed")

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        assert (self.breaker.state, self.breaker.forced) == (self.state, self.forced)
        share = self.breaker.share(self.now)
        if self.state != "closed":
            assert share == 0
        else:
            assert 0 < share <= 1
            assert share == 1 or self.now - self.since < SMALL.ramp_ms

    @invariant()
    def a_copy_made_from_its_row_answers_the_same(self) -> None:
        row = self.breaker.row()
        copy = Breaker("fcm", "push", SMALL, "a")
        copy.restore(row)
        assert (copy.state, copy.forced, copy.share(self.now)) == (
            self.state,
            self.forced,
            self.breaker.share(self.now),
        )


class SharedBreaker(RuleBasedStateMachine):
    """Two processes over one row, each publishing when it likes: one probe goes out among all."""

    @initialize()
    def begin(self) -> None:
        self.row: BreakerRow | None = None
        self.now = 1_700_000_000_000
        self.breakers = {name: Breaker("fcm", "push", SMALL, name) for name in NAMES}
        self.probes: list[int] = []

    def publish(self, name: str) -> bool:
        breaker = self.breakers[name]
        if breaker.version != (self.row.version if self.row else 0):
            breaker.restore(self.row)
            return False
        self.row = breaker.row()
        breaker.published(self.row)
        return True

    @rule(by=st.integers(1, 700))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(name=st.sampled_from(NAMES))
    def somebody_sends(self, name: str) -> None:
        if self.breakers[name].allow(self.now) == "probe" and self.publish(name):
            self.probes.append(self.now)

    @rule(name=st.sampled_from(NAMES), ok=st.booleans(), count=st.integers(1, 5))
    def outcomes_come_in(self, name: str, ok: bool, count: int) -> None:
        if self.breakers[name].record([ok] * count, self.now) is not None:
            self.publish(name)

    @rule(name=st.sampled_from(NAMES))
    def one_reads_the_row(self, name: str) -> None:
        self.breakers[name].restore(self.row)
        assert self.breakers[name].version == (self.row.version if self.row else 0)

    @precondition(lambda self: self.row is not None)
    @rule(forced=st.sampled_from(["none", "open", "closed"]))
    def an_operator_forces_it(self, forced: str) -> None:
        assert self.row is not None
        state = "open" if forced == "open" else "closed"
        self.row = BreakerRow("fcm", "push", state, forced, self.now, version=self.row.version + 1)
        self.probes.clear()

    @invariant()
    def probes_are_apart(self) -> None:
        assert all(b - a >= SMALL.probe_timeout_ms for a, b in zip(self.probes, self.probes[1:], strict=False))

    @invariant()
    def whoever_knows_the_last_version_agrees_with_it(self) -> None:
        for breaker in self.breakers.values():
            if self.row is not None and breaker.version == self.row.version and not breaker.unpublished:
                assert (breaker.state, breaker.forced) == (self.row.state, self.row.forced)


TestOneBreaker = OneBreaker.TestCase
TestSharedBreaker = SharedBreaker.TestCase
TestOneBreaker.settings = TestSharedBreaker.settings = settings(max_examples=150, stateful_step_count=40)
