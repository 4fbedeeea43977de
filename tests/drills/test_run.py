"""The phases of a drill, on a stage that is only told of."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from bellhouse.demo.watch import Check, Ledger
from bellhouse.drills.run import Drill, Result
from bellhouse.drills.scenario import UNSCALED_S, Scenario
from bellhouse.drills.stage import SCALE, Stage
from bellhouse.engines.prometheus import FiringAlert
from bellhouse.ops.doctor.causes import Cause, CauseName
from bellhouse.ops.doctor.diagnose import Diagnosis


class Jumping:
    """A clock on which a sleep takes no time."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> int:
        return round(self.at * 1000)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


class Told:
    """A stage whose alerts, backlog and diagnosis a test says, each as of when it was broken and mended."""

    def __init__(self, clock: Jumping, **script: Any) -> None:
        self.clock = clock
        self.broken_at: float | None = None
        self.mended_at: float | None = None
        self.calmed = 0
        self.fires_after = 4.0
        self.silent_after = 6.0
        self.severity = "warning"
        self.cause: CauseName = "ProviderOutage"
        self.also: Mapping[str, str] = {}
        self.waiting = 3
        self.imbalance = 0
        for name, value in script.items():
            setattr(self, name, value)

    async def alerts(self) -> Sequence[FiringAlert]:
        if not self._fires():
            return [alert("Watchdog", "none")]
        return [alert("ProviderCircuitOpen", self.severity), *(alert(*one) for one in self.also.items())]

    def _fires(self) -> bool:
        if self.broken_at is None or self.clock.at < self.broken_at + self.fires_after:
            return False
        return self.mended_at is None or self.clock.at < self.mended_at + self.silent_after

    async def diagnose(self, slug: str) -> Diagnosis:
        assert slug == "circuit-open"
        self.clock.at += 3
        return Diagnosis(slug, (Cause(self.cause, 80, "It is down.", ("Seen.",)),), (), ())

    async def backlog(self) -> int:
        return self.waiting

    async def ledger(self) -> Ledger:
        return Ledger(9, 9, self.imbalance, [], [Check("accepted", 9, 9 - self.imbalance, not self.imbalance)])

    def mark(self) -> None:
        assert self.broken_at is None

    async def calm(self) -> None:
        self.calmed += 1


def alert(name: str, severity: str) -> FiringAlert:
    return FiringAlert(name, "firing", {"severity": severity}, {}, "")


async def _break(stage: Stage) -> None:
    told = cast("Told", stage)
    told.broken_at = told.clock.at


async def _mend(stage: Stage) -> None:
    told = cast("Told", stage)
    told.mended_at = told.clock.at


def scenario(**fields: Any) -> Scenario:
    told: dict[str, Any] = {
        "name": "an-outage", "family": "providers", "breaks": "It is down.", "alert": "ProviderCircuitOpen",
        "severity": "warning", "cause": "ProviderOutage", "lever": "mend it", "break_": _break, "mend": _mend,
    }  # fmt: skip
    return Scenario(**{**told, **fields})


async def played(
    say: Callable[[str], None] = lambda _: None, /, quiet: bool = False, **script: Any
) -> tuple[Result, Told]:
    clock = Jumping()
    stage = Told(clock, **script)
    result = await Drill(scenario(quiet=quiet), cast("Stage", stage), clock, say).play()
    return result, stage


async def test_a_drill_passes_when_it_is_alerted_understood_and_mended() -> None:
    said: list[str] = []
    result, stage = await played(said.append)
    assert result.passed
    assert (result.fired_s, result.diagnosed_s, result.recovered_s) == (4.0, 3.0, 9.0)
    assert (result.found, result.evidence, result.also) == ("ProviderOutage", ("Seen.",), ())
    assert stage.calmed == 1
    assert [line for line in said if "Alert: ProviderCircuitOpen fires after 4.0 s" in line]


async def test_an_alert_that_comes_later_than_promised_is_not_in_time() -> None:
    result, _ = await played(fires_after=22.0)
    assert result.fired_s == 22.0
    assert (result.in_time, result.passed) == (False, False)


async def test_an_alert_that_never_comes_ends_the_drill_with_its_reason_and_a_calm_stage() -> None:
    result, stage = await played(fires_after=1e9)
    assert result.fired_s is None
    assert result.error.startswith("ProviderCircuitOpen did not fire within")
    assert (result.passed, stage.calmed) == (False, 1)


async def test_an_alert_of_the_same_name_and_another_severity_is_not_the_one() -> None:
    result, _ = await played(severity="info")
    assert result.fired_s is None


async def test_a_wrong_cause_fails_the_drill_though_it_recovers() -> None:
    result, _ = await played(cause="SlowProvider")
    assert result.recovered_s is not None
    assert (result.named_right, result.passed) == (False, False)


async def test_a_ledger_that_does_not_balance_fails_the_drill() -> None:
    result, _ = await played(imbalance=1)
    assert (result.balanced, result.passed) == (False, False)


async def test_what_does_not_recover_is_told_with_what_still_fires() -> None:
    result, _ = await played(silent_after=1e9)
    assert result.recovered_s is None
    assert "ProviderCircuitOpen" in result.error


async def test_a_house_that_is_not_healthy_before_is_not_broken_further() -> None:
    result, stage = await played(waiting=1_000)
    assert "not healthy before" in result.error
    assert stage.broken_at is None


@pytest.mark.parametrize(("quiet", "woken"), [(True, True), (False, False)])
async def test_a_page_in_a_quiet_drill_is_somebody_woken(quiet: bool, woken: bool) -> None:
    result, _ = await played(quiet=quiet, also={"QueueBacklogCritical": "critical", "DLQGrowing": "warning"})
    assert result.also == ("QueueBacklogCritical", "DLQGrowing")
    assert (result.woken, result.passed) == (woken, not woken)


def test_the_promise_is_the_alerts_own_duration_and_longest_window_and_what_does_not_scale() -> None:
    circuit_open = scenario()
    assert circuit_open.promised_s(SCALE) == pytest.approx(5 + UNSCALED_S)
    growing = scenario(alert="DLQGrowing")
    assert growing.promised_s(SCALE) == pytest.approx(30 + 60 + UNSCALED_S)
    silent = scenario(alert="CallbacksMissing", late_s=15.0)
    assert silent.promised_s(SCALE) == pytest.approx(5 + 15 + UNSCALED_S)
