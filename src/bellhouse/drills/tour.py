"""One drill told step by step, from the alert to the recovery, with a real Prometheus and Alertmanager to look at."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bellhouse.drills.pager import pager
from bellhouse.drills.report import Report
from bellhouse.drills.run import Drill
from bellhouse.drills.scenario import Scenario
from bellhouse.drills.stage import SCALE, Stage, embedded
from bellhouse.engines.alertmanager import Alertmanager
from bellhouse.monitoring.routing import Routing, alertmanager_file
from bellhouse.ports.clock import Clock

RUNBOOKS: Final = "docs/runbooks"
_ENOUGH_S: Final = 2.0


async def tour(scenario: Scenario, folder: Path, clock: Clock, say: Callable[[str], None], *, stay: bool) -> Report:
    """Play one embedded drill and tell it; with `stay` everything runs on until it is interrupted.

    Raises DidNotStart, EngineDidNotStart and Refusal.
    """
    say("Bellhouse, its outside world, Prometheus and Alertmanager are started ...")
    began = clock.monotonic()
    async with pager(say) as calls:
        alertmanager = Alertmanager(alertmanager_file(Routing(scale=SCALE, webhook=calls)), folder / "alertmanager")
        try:
            await asyncio.to_thread(alertmanager.start)
            async with embedded(folder, clock, secrets.token_hex(16), alertmanager.url, RUNBOOKS) as stage:
                _links(stage, alertmanager, scenario, say)
                result = await Drill(scenario, stage, clock, say).play()
                await clock.sleep(_ENOUGH_S)  # what is resolved is told a moment later
                report = Report(SCALE, round(clock.monotonic() - began, 1), (result,))
                if stay:
                    say("\nIt runs on, under its light load. Ctrl-C ends it.")
                    await asyncio.Event().wait()
                return report
        finally:
            await asyncio.to_thread(alertmanager.close)


def _links(stage: Stage, alertmanager: Alertmanager, scenario: Scenario, say: Callable[[str], None]) -> None:
    house = stage.house
    say(f"  Bellhouse      {house.url}/docs")
    say(f"  Prometheus     {stage.prometheus.url}/alerts")
    say(f"  Alertmanager   {alertmanager.url}/#/alerts")
    say(f"  the runbook    {RUNBOOKS}/{scenario.slug}.md")
    say(f"  the board      bellhouse top --data {house.data} --prometheus {stage.prometheus.url}")
    say(f"  the doctor     bellhouse doctor {scenario.slug} --data {house.data}")
    say("A minute of the rules is a second here. Below, [pager] and [chat] are what Alertmanager tells whom.\n")
