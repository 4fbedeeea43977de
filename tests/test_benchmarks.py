"""The benchmark of the distributed mode measures every figure that its page shows, on real engines."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from benchmarks.cluster.fleet import A_DAY, PAGE, PEAK, figures_of, filled, needs, whole_pages
from benchmarks.cluster.roles import ROLES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WORKLOADS = ("log", "FCM over TLS")
_PATIENCE_S = 600.0


async def test_a_tiny_run_measures_every_figure_of_the_page(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.cluster", "--smoke", "--docs", str(tmp_path)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_PATIENCE_S):
        _, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()[-3_000:]

    run = json.loads((tmp_path / "cluster-benchmarks.json").read_text())
    figures = {figure["name"]: figure for figure in run["figures"]}
    _there(figures)
    _plausible(figures)
    page = (tmp_path / "cluster-benchmarks.md").read_text()
    assert all(f"| {name} |" in page for name in figures)
    assert all(len(line) <= 120 for line in page.splitlines() if not line.startswith(("|", "![")))


def _there(figures: Mapping[str, Any]) -> None:
    for workload in WORKLOADS:
        assert {f"CPU, {workload}", f"CPU of PostgreSQL, {workload}", f"CPU of Kafka, {workload}"} <= set(figures)
        assert {f"WAL, {workload}", f"rate, {workload}"} <= set(figures)
        assert {f"{workload}: {role}" for role in ROLES} <= set(figures)
    assert {"CPU, idle", "stored for the retention", "stored for a day", "in the log"} <= set(figures)
    assert {"critical p99, idle", "critical p99 added by the flood"} <= set(figures)
    assert any(name.startswith("single POST at") and name.endswith("p99") for name in figures)
    assert any(name.startswith("cost beside") for name in figures)


def _plausible(figures: Mapping[str, Any]) -> None:
    """Nothing about how fast this machine is: only what cannot be otherwise."""
    assert all(isfinite(figure["value"]) and figure["value"] >= 0 for figure in figures.values())
    for workload in WORKLOADS:
        ours = sum(figures[f"{workload}: {role}"]["value"] for role in ROLES)
        assert abs(figures[f"CPU, {workload}"]["value"] - ours) < 0.01
        # The row, its decision and its event have some hundred bytes each, and no limit is below nothing.
        assert figures[f"WAL, {workload}"]["value"] > 500
        for name in (f"CPU, {workload}", f"CPU of PostgreSQL, {workload}", f"CPU of Kafka, {workload}"):
            assert figures[name]["ratio"] > 0
    assert figures["stored for the retention"]["value"] > 300
    assert figures["in the log"]["value"] > 300
    assert figures["critical p99, idle"]["value"] >= figures["critical p50, idle"]["value"] > 0


def test_the_table_of_the_scale_page_follows_from_the_figures_of_the_benchmark_page() -> None:
    page = (DOCS / "scale.md").read_text()
    assert f"| at {PEAK:,}/s | needs | from |" in page
    assert filled(page, figures_of(DOCS)) == page


def test_what_a_fleet_needs_grows_with_what_a_notification_costs() -> None:
    figures = dict.fromkeys(figures_of(DOCS), 100.0)
    by_name = {need.what: need.amount for need in needs(figures)}
    assert by_name["`router`"] == "1.70 cores, 4 processes"
    assert by_name["PostgreSQL, WAL at peak"] == "2 MB/s"
    assert by_name["PostgreSQL, rows of a day"] == f"{100 * A_DAY / 1e12:.2f} TB"


def test_a_page_goes_whole_to_the_wal_at_most_once_between_checkpoints_and_at_most_with_each_key() -> None:
    assert whole_pages(10, inserted=1_000_000) == pytest.approx(10 * PAGE / 1_000_000)
    assert whole_pages(1e12, inserted=1_000) == pytest.approx(PAGE, rel=0.01)
