"""Plays a drill: healthy, broken, alerted, diagnosed, mended, recovered; and keeps the times."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from bellhouse.demo.client import Refusal
from bellhouse.demo.watch import Ledger
from bellhouse.drills.scenario import Scenario
from bellhouse.drills.stage import LITTLE, SCALE, Stage
from bellhouse.engines.prometheus import FiringAlert
from bellhouse.ports.clock import Clock

_LOOK_S: Final = 0.5
_CALM_S: Final = 3.0
"""For how long nothing may have fired before something is broken, and before it counts as recovered."""
_PATIENCE_S: Final = 120.0
_TOLD: Final = 5
"""Sentences of evidence that are told: the rest says the same of other processes."""

Say = Callable[[str], None]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill showed."""

    name: str
    family: str
    mode: str
    breaks: str
    alert: str
    severity: str
    promised_s: float
    fired_s: float | None = None
    """From the injection until the alert fired; None where it never did."""
    cause: str
    found: str = ""
    """What the doctor named first."""
    evidence: tuple[str, ...] = ()
    diagnosed_s: float = 0.0
    lever: str
    recovered_s: float | None = None
    """From the lever until all was well; None where it never was."""
    balanced: bool = False
    """Whether the ledger, recounted from the rows, holds in every equation."""
    also: tuple[str, ...] = ()
    """What else fired, pages first."""
    woken: bool = False
    """Whether somebody was woken who should not have been."""
    error: str = ""
    """What kept the drill from being played to its end."""

    @property
    def in_time(self) -> bool:
        return self.fired_s is not None and self.fired_s <= self.promised_s

    @property
    def named_right(self) -> bool:
        return self.found == self.cause

    @property
    def passed(self) -> bool:
        return bool(
            self.in_time and self.named_right and self.recovered_s is not None and self.balanced and not self.woken
            and not self.error
        )  # fmt: skip


class _Trouble(Exception):
    """What kept a drill from going on."""


class Drill:
    """One scenario on a stage."""

    def __init__(self, scenario: Scenario, stage: Stage, clock: Clock, say: Say) -> None:
        self._scenario = scenario
        self._stage = stage
        self._clock = clock
        self._say = say
        self._seen: dict[str, str] = {}
        self._result = Result(
            name=scenario.name,
            family=scenario.family,
            mode=scenario.mode,
            breaks=scenario.breaks,
            alert=scenario.alert,
            severity=scenario.severity,
            promised_s=round(scenario.promised_s(SCALE), 1),
            cause=scenario.cause,
            lever=scenario.lever,
        )

    async def play(self) -> Result:
        """Play it to its end; the stage is calm afterwards, whatever came."""
        try:
            await self._through()
        except (_Trouble, Refusal, OSError) as error:
            self._note(error=str(error))
        finally:
            await self._stage.calm()
        await self._clock.sleep(self._scenario.rest_s)
        pages = sorted(name for name, severity in self._seen.items() if severity == "critical")
        rest = sorted(name for name in self._seen if name not in pages)
        also = tuple(name for name in (*pages, *rest) if name != self._scenario.alert)
        self._note(also=also, woken=self._scenario.quiet and bool(pages))
        return self._result

    async def _through(self) -> None:
        scenario, stage = self._scenario, self._stage
        if scenario.prepare is not None:
            await scenario.prepare(stage)
        await self._until(self._calm, _PATIENCE_S, "it was not healthy before the drill", stay_s=_CALM_S)
        self._seen.clear()
        stage.mark()
        self._say(f"{scenario.name}: {scenario.breaks}")
        began = self._clock.monotonic()
        await scenario.break_(stage)
        limit = 2 * self._result.promised_s + 15
        await self._until(self._fires, limit, f"{scenario.alert} did not fire within {limit:.0f} s")
        self._note(fired_s=self._since(began))
        self._say(f"  Alert: {scenario.alert} fires after {self._result.fired_s:.1f} s")
        await self._diagnose()
        began = self._clock.monotonic()
        self._say(f"  Lever: {scenario.lever}")
        await scenario.mend(stage)
        await self._until(self._well, _PATIENCE_S, "it did not recover", stay_s=_CALM_S)
        self._note(recovered_s=self._since(began))
        ledger = await stage.ledger()
        self._note(balanced=ledger.imbalance == 0 and all(check.holds for check in ledger.checks))
        self._say(f"  Recovered after {self._result.recovered_s:.1f} s; the ledger {_balance(ledger)}")

    async def _diagnose(self) -> None:
        began = self._clock.monotonic()
        diagnosis = await self._stage.diagnose(self._scenario.slug)
        first = diagnosis.causes[0]
        self._note(found=first.name, evidence=first.evidence[:_TOLD], diagnosed_s=self._since(began))
        self._say(f"  Diagnosis: bellhouse doctor {self._scenario.slug}: {first.name}: {first.summary}")
        for sentence in first.evidence[:_TOLD]:
            self._say(f"    {sentence}")
        if not self._result.named_right:
            ranks = ", ".join(f"{one.name} {one.score:.0f}" for one in diagnosis.causes)
            self._say(f"    expected {self._scenario.cause}; ranked: {ranks}")

    # --- what is waited for ---

    async def _calm(self) -> bool:
        """Nobody is woken, the drill's own alert is silent, and no work lies about."""
        firing = await self._look()
        return not any(one.labels.get("severity") == "critical" or self._ours(one) for one in firing) and (
            await self._little()
        )

    async def _fires(self) -> bool:
        return any(map(self._ours, await self._look()))

    _well = _calm

    async def _little(self) -> bool:
        return await self._stage.backlog() <= LITTLE

    async def _look(self) -> Sequence[FiringAlert]:
        firing = await self._stage.alerts()
        for one in firing:
            severity = one.labels.get("severity", "none")
            if severity != "none" and self._seen.get(one.name) != "critical":
                self._seen[one.name] = severity
        return firing

    def _ours(self, one: FiringAlert) -> bool:
        return one.name == self._scenario.alert and one.labels.get("severity") == self._scenario.severity

    async def _until(
        self, holds: Callable[[], Awaitable[bool]], patience_s: float, otherwise: str, stay_s: float = 0.0
    ) -> None:
        """Wait until it holds, and goes on to for `stay_s`. Raises _Trouble after `patience_s`."""
        deadline = self._clock.monotonic() + patience_s
        since: float | None = None
        while True:
            now = self._clock.monotonic()
            if not await holds():
                since = None
            elif since is None:
                since = now
            if since is not None and now - since >= stay_s:
                return
            if now > deadline:
                firing = ", ".join(sorted({one.name for one in await self._stage.alerts()} - {"Watchdog"}))
                raise _Trouble(f"{otherwise}; firing: {firing or 'nothing'}; waiting: {await self._stage.backlog()}")
            await self._clock.sleep(_LOOK_S)

    def _since(self, began: float) -> float:
        return round(self._clock.monotonic() - began, 1)

    def _note(self, **what: object) -> None:
        self._result = msgspec.structs.replace(self._result, **what)


def _balance(ledger: Ledger) -> str:
    return "balances" if ledger.imbalance == 0 else f"is off by {ledger.imbalance}"
