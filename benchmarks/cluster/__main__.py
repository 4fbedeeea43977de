"""`make bench-cluster`: every figure of the distributed mode, each computed from this run; text, JSON, the docs' page.

python -m benchmarks.cluster [--smoke | --quick | --full] [--only cost,lanes,...] [--json FILE] [--docs DIR]
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bellhouse.engines.kafka_jars import VERSION
from benchmarks.chart import svg
from benchmarks.cluster.engines import POSTGRES, Engines, connect, engines
from benchmarks.cluster.fleet import fill
from benchmarks.cluster.stand import PARTITIONS, prepare
from benchmarks.cluster.workloads import PARTS, WORKLOADS, Ground, Size, unknown
from benchmarks.figures import Figure, Page, Run, machine, markdown, number, text

SMOKE: Final = Size("smoke", 1.0, 500, per_second=50, single_s=1, flood=1_000, urgent=5, stored=7_000)
QUICK: Final = Size("quick", 5.0, 10_000, per_second=1_000, single_s=5, flood=20_000, urgent=60, stored=200_000)
USUAL: Final = Size("usual", 10.0, 30_000, per_second=1_000, single_s=15, flood=200_000, urgent=200, stored=1_000_000)
FULL: Final = Size("full", 30.0, 60_000, per_second=1_000, single_s=30, flood=1_000_000, urgent=400, stored=5_000_000)

_PAGE: Final = Page(
    "What the distributed mode costs and how fast it is",
    (
        "PostgreSQL, Kafka, Valkey, the simulator, the load and every role (each in a process of its own, critical "
        "apart from the rest) share the cores of this machine, so rates say what these cores do with all of it, and "
        "CPU says what each part needs. CPU is user and system time by the processes' own clocks, of Bellhouse's "
        "processes where no other name is given. A limit is what the same machine does in the same run without "
        "Bellhouse, and the ratio is how many times that ours is. `aim` and `must` say which target was reached. "
        "What the figures mean for a fleet is in [scale.md](scale.md).",
        "PostgreSQL keeps what it promises: "
        + ", ".join(f"`{name} = {value}`" for name, value in POSTGRES.items())
        + f". Kafka: one node, `acks = all` of one replica, {PARTITIONS} partitions a topic.",
    ),
)


async def measure(size: Size, parts: Sequence[str], command: str) -> Run:
    """Run the workloads one after another, on engines of their own."""
    began = time.monotonic()
    figures: list[Figure] = []
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bellhouse-bench-") as folder, engines() as running:
        ground = Ground(running, Path(folder), await prepare(running, Path(folder)))
        for workload in WORKLOADS:
            found = await workload(ground, size, parts)
            figures += found
            for figure in found:
                print(f"  {figure.name}: {number(figure.value)} {figure.unit}", file=sys.stderr, flush=True)
        told = (
            f"{size.name}: {size.count:,} notifications a cost, {size.flood:,} in the flood, {size.stored:,} stored; "
            f"load average when it began: {load:.1f}"
        )
        return Run(machine(await _versions(running)), command, told, time.monotonic() - began, figures)


async def _versions(running: Engines) -> str:
    database = await connect(running.postgres.url)
    try:
        postgres = str(await database.fetchval("SHOW server_version"))
    finally:
        await database.close()
    with running.valkey.client() as client:
        valkey = client.info("server").get("valkey_version", "unknown")
    return f"PostgreSQL {postgres}, Kafka {VERSION}, Valkey {valkey}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_const", dest="size", const=SMOKE, help="tiny: does it still measure?")
    size.add_argument("--quick", action="store_const", dest="size", const=QUICK, help="small: some minutes")
    size.add_argument("--full", action="store_const", dest="size", const=FULL, help="as the targets say")
    parser.add_argument("--only", default="", help="some parts, between commas: " + ", ".join(PARTS))
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    parser.add_argument(
        "--docs", type=Path, help="write cluster-benchmarks.md, .svg and .json there, and the table of scale.md"
    )
    given = parser.parse_args()
    parts = [name for name in given.only.split(",") if name] or list(PARTS)
    if wrong := unknown(parts):
        parser.error(f"no part is called {', '.join(wrong)}")
    if given.docs and set(parts) != set(PARTS):
        parser.error("--docs needs all parts: leave --only out")
    command = " ".join(["python -m benchmarks.cluster", *sys.argv[1:]])
    # A stop by SIGTERM ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = asyncio.run(measure(given.size or USUAL, parts, command))
    print(text(run))
    if given.json:
        given.json.write_text(run.as_json() + "\n", encoding="utf-8")
    if given.docs:
        _write_page(run, given.docs)
    return 0


def _write_page(run: Run, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cluster-benchmarks.md").write_text(markdown(run, "cluster-benchmarks.svg", _PAGE), encoding="utf-8")
    (folder / "cluster-benchmarks.svg").write_text(svg(run.figures), encoding="utf-8")
    (folder / "cluster-benchmarks.json").write_text(run.as_json() + "\n", encoding="utf-8")
    if (folder / "scale.md").exists():
        fill(folder)


if __name__ == "__main__":
    sys.exit(main())
