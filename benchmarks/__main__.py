"""`make bench`: every figure of the targets, each computed from this run; text, JSON, a chart and the docs' page.

python -m benchmarks [--smoke | --full] [--only cost,telemetry,doors,lanes,kill,backlog] [--json] [--docs DIR]
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.backlog import beside_others
from benchmarks.chart import svg
from benchmarks.cost import whole_way
from benchmarks.doors import doors
from benchmarks.figures import Figure, Run, machine, markdown, number, text
from benchmarks.lanes import after_a_kill, urgency
from benchmarks.observed import ROUNDS, telemetry_share


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    name: str
    count: int
    """Notifications of one cost."""
    others: int
    """Those that wait or are stored beside them."""
    flood: int
    singles: int
    requests: int
    batches: int


SMOKE = Size("smoke", 3_000, 10_000, 10_000, 40, 4_000, 8)
USUAL = Size("usual", 30_000, 100_000, 100_000, 200, 30_000, 60)
FULL = Size("full", 100_000, 1_000_000, 1_000_000, 400, 60_000, 100)


def parts(size: Size) -> dict[str, Callable[[], Awaitable[list[Figure]]]]:
    """Every part of the benchmark by its name."""
    return {
        "cost": lambda: whole_way(size.count),
        "telemetry": lambda: telemetry_share(size.count, 1 if size.name == "smoke" else ROUNDS),
        "doors": lambda: doors(size.requests, size.batches),
        "lanes": lambda: urgency(size.flood, size.singles),
        "kill": lambda: after_a_kill(size.count),
        "backlog": lambda: beside_others(size.others, size.count),
    }


async def measure(size: Size, only: list[str], command: str) -> Run:
    """Run the parts one after another."""
    began = time.monotonic()
    figures: list[Figure] = []
    for name, part in parts(size).items():
        if not only or name in only:
            since = time.monotonic()
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            found = await part()
            figures += found
            for figure in found:
                print(f"  {figure.name}: {number(figure.value)} {figure.unit}", file=sys.stderr, flush=True)
            print(f"  in {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
    told = f"{size.name}: {size.count:,} notifications a cost, {size.others:,} others"
    return Run(machine(), command, told, time.monotonic() - began, figures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", "--quick", action="store_true", help="small: does everything still measure?")
    size.add_argument("--full", action="store_true", help="beside 1,000,000 others, as the targets say")
    parser.add_argument("--only", default="", help="some parts, between commas: " + ", ".join(parts(SMOKE)))
    parser.add_argument("--json", action="store_true", help="one JSON object in place of the table")
    parser.add_argument("--docs", type=Path, help="write benchmarks.md, .svg and .json into this folder")
    given = parser.parse_args()
    only = [name for name in given.only.split(",") if name]
    if unknown := set(only) - set(parts(SMOKE)):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    chosen = SMOKE if given.smoke else FULL if given.full else USUAL
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    # A stop by SIGTERM ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = asyncio.run(measure(chosen, only, command))
    print(run.as_json() if given.json else text(run))
    if given.docs:
        given.docs.mkdir(parents=True, exist_ok=True)
        (given.docs / "benchmarks.md").write_text(markdown(run, "benchmarks.svg"), encoding="utf-8")
        (given.docs / "benchmarks.svg").write_text(svg(run.figures), encoding="utf-8")
        (given.docs / "benchmarks.json").write_text(run.as_json() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
