"""A run of several drills: those that can share a stage do, and everything that was started is stopped."""

import asyncio
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import assert_never

import msgspec
from rich.console import Console

from bellhouse.adapters.clock import SystemClock
from bellhouse.demo.processes import folder_for, until_told
from bellhouse.drills.report import Report, as_json, keep, show
from bellhouse.drills.run import Drill, Result
from bellhouse.drills.scenario import Mode, Scenario
from bellhouse.drills.stage import SCALE, Stage, cluster, embedded
from bellhouse.drills.tour import tour
from bellhouse.ports.clock import Clock

_WIDTH = 160
"""Of the table where there is no terminal that has a width."""


class Options(msgspec.Struct, frozen=True):
    """How drills are run."""

    report: Path | None = None
    """Where to leave the report as a page."""
    keep: Path | None = None
    """Where to leave data and logs; a temporary folder, removed at the end, without it."""
    json: bool = False
    tour: bool = False
    """Tell the first one step by step, with Alertmanager."""
    stay: bool = False
    """Let everything run on after a tour, until it is interrupted."""


def run(scenarios: Sequence[Scenario], options: Options) -> int:
    """Run drills and show what came of them; answers the exit status: 1 where one of them did not pass.

    Raises DidNotStart, EngineDidNotStart, Refusal and OSError, whose texts say what to do.
    """
    _keeper(options.report)(Report(SCALE, 0.0, ()))  # a file that cannot be written is told now
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    with folder_for(options.keep, "bellhouse-drill-") as folder:
        say = _silent if options.json else _teller(console)
        if options.tour:
            playing = tour(scenarios[0], Path(folder), SystemClock(), say, stay=options.stay)
        else:
            playing = drills(scenarios, Path(folder), SystemClock(), say, _keeper(options.report))
        report = asyncio.run(until_told(playing))
    _keeper(options.report)(report)
    if options.json:
        sys.stdout.write(as_json(report).decode() + "\n")
    else:
        show(console, report)
    return 0 if report.passed else 1


async def drills(
    scenarios: Sequence[Scenario],
    folder: Path,
    clock: Clock,
    say: Callable[[str], None],
    note: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Play drills, mode by mode, each mode's on one stage; `note` gets the report after each.

    Raises what `run` does.
    """
    began = clock.monotonic()
    results: list[Result] = []
    for mode in dict.fromkeys(scenario.mode for scenario in scenarios):
        own = [scenario for scenario in scenarios if scenario.mode == mode]
        say(f"A Bellhouse ({mode}), its outside world and a Prometheus are started ...")
        async with _stage(mode, folder / mode, clock, say) as stage:
            say(f"Bellhouse at {stage.house.url}, Prometheus at {stage.prometheus.url}; all under load.")
            for scenario in own:
                results.append(await Drill(scenario, stage, clock, say).play())
                note(Report(SCALE, round(clock.monotonic() - began, 1), tuple(results)))
    return Report(SCALE, round(clock.monotonic() - began, 1), tuple(results))


def _keeper(path: Path | None) -> Callable[[Report], None]:
    """What leaves a report in its file: a run that is broken off has kept what it has shown."""

    def note(report: Report) -> None:
        if path is not None:
            keep(report, path)

    return note


def _stage(mode: Mode, folder: Path, clock: Clock, say: Callable[[str], None]) -> AbstractAsyncContextManager[Stage]:
    folder.mkdir(parents=True, exist_ok=True)
    match mode:
        case "embedded":
            return embedded(folder, clock, secrets.token_hex(16))
        case "cluster":
            return cluster(folder, clock, secrets.token_hex(16), say)
        case _:
            assert_never(mode)


def _teller(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, highlight=False, markup=False)


def _silent(_: str) -> None:
    """Say nothing: there is one JSON object at the end."""
