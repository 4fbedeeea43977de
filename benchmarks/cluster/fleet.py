"""What a fleet needs, reckoned from a run's figures: the table of `docs/scale.md`.

python -m benchmarks.cluster.fleet [--docs docs]
"""

import argparse
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

A_DAY: Final = 500_000_000
PEAK: Final = 17_000
"""Notifications a second."""
DAYS: Final = 90
LOG_DAYS: Final = 7
COPIES: Final = 3
"""Of each record in the log."""
PAGE: Final = 8_192
CHECKPOINT_S: Final = 1_800
FULL: Final = 0.5
"""How much of a core a process may use at peak: the other half is for a host that is lost, and for catching up."""

_PLACE: Final = re.compile(r"(<!-- made: fleet -->\n).*?(\n<!-- end -->)", re.DOTALL)
_ROLES: Final = ("api", "relay", "router", "worker")


@dataclass(frozen=True)
class Need:
    """A line of the table: what, how much at peak or in all, and what it was reckoned from."""

    what: str
    amount: str
    origin: str


def needs(figures: Mapping[str, float]) -> list[Need]:
    """What the source's load needs, by the values of a run's figures."""
    return [*_roles(figures), *_postgres(figures), *_log(figures)]


def _roles(figures: Mapping[str, float]) -> list[Need]:
    found = []
    for role in _ROLES:
        us = figures[f"FCM over TLS: {role}"]
        found.append(Need(f"`{role}`", _processes(us), f"{us:.0f} µs each, bulk, a push"))
    us = figures["single POST: api"]
    origin = f"{us:.0f} µs each at 1,000/s; less where more of them share a commit"
    return [*found, Need("`api`, if every caller sends one by one", _processes(us), origin)]


def _processes(us: float) -> str:
    """What so many µs each come to at peak."""
    cores = us * PEAK / 1e6
    number = math.ceil(cores / FULL)
    return f"{cores:.2f} cores, {number} process{'es' if number > 1 else ''}"


def _postgres(figures: Mapping[str, float]) -> list[Need]:
    us, wal = figures["CPU of PostgreSQL, FCM over TLS"], figures["WAL, FCM over TLS"]
    kept, key, index = (
        figures[name] for name in ("stored for the retention", "stored for a day", "of that in its index")
    )
    whole = whole_pages(index * A_DAY / PAGE, PEAK * CHECKPOINT_S)
    return [
        Need("PostgreSQL, cores", f"{us * PEAK / 1e6:.2f}", f"{us:.0f} µs each, all its processes"),
        Need("PostgreSQL, WAL at peak", f"{wal * PEAK / 1e6:.0f} MB/s", f"{wal:,.0f} bytes each"),
        Need(
            "PostgreSQL, WAL of whole pages beside it",
            f"{whole * PEAK / 1e6:.0f} MB/s",
            f"{whole:,.0f} bytes each: every page of the keys' index goes there whole once after each checkpoint, "
            f"{CHECKPOINT_S // 60} minutes apart; {index:.0f} bytes of index a key",
        ),
        Need("PostgreSQL, keys of a day", f"{key * A_DAY / 1e9:.0f} GB", f"{key:,.0f} bytes each"),
        Need("PostgreSQL, rows of a day", f"{kept * A_DAY / 1e12:.2f} TB", f"{kept:,.0f} bytes each, with indexes"),
        Need(f"PostgreSQL, {DAYS} days", f"{kept * A_DAY * DAYS / 1e12:.0f} TB", "the same"),
    ]


def whole_pages(pages: float, inserted: float) -> float:
    """Bytes of whole pages for each of the keys that are inserted between two checkpoints into so many pages, without
    order: the first change of each page writes all of it."""
    return PAGE * pages * -math.expm1(-inserted / pages) / inserted


def _log(figures: Mapping[str, float]) -> list[Need]:
    us, size = figures["CPU of Kafka, FCM over TLS"], figures["in the log"]
    return [
        Need("Kafka, cores", f"{us * PEAK / 1e6 * COPIES:.1f}", f"{us:.0f} µs each and copy, at most"),
        Need("Kafka, written", f"{size * PEAK * COPIES / 1e6:.0f} MB/s", f"{size:,.0f} bytes each, {COPIES} copies"),
        Need(f"Kafka, {LOG_DAYS} days", f"{size * A_DAY * LOG_DAYS * COPIES / 1e12:.1f} TB", "the same"),
    ]


def table(found: list[Need]) -> str:
    """The lines as Markdown."""
    rows = [f"| {need.what} | {need.amount} | {need.origin} |" for need in found]
    return "\n".join([f"| at {PEAK:,}/s | needs | from |", "| --- | --- | --- |", *rows])


def filled(page: str, figures: Mapping[str, float]) -> str:
    """The page with the table of these figures in its place."""
    return _PLACE.sub(lambda match: f"{match[1]}{table(needs(figures))}{match[2]}", page)


def figures_of(docs: Path) -> dict[str, float]:
    """The values of the run that the page of benchmarks shows."""
    run = json.loads((docs / "cluster-benchmarks.json").read_text(encoding="utf-8"))
    return {figure["name"]: figure["value"] for figure in run["figures"]}


def fill(docs: Path) -> None:
    """Write the table into the page of a folder, by the figures beside it."""
    page = docs / "scale.md"
    page.write_text(filled(page.read_text(encoding="utf-8"), figures_of(docs)), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    fill(parser.parse_args().docs)


if __name__ == "__main__":
    main()
