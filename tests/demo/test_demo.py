"""The whole demo as a person runs it: small, and with everything that goes wrong."""

import json
import signal
import subprocess
import sys
from pathlib import Path


def test_a_small_day_is_played_through_every_fault_and_adds_up(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "bellhouse", "demo", "--fast", "--json", "--keep", str(tmp_path / "kept"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    report = json.loads(done.stdout)
    caller, oracle = report["caller"], report["oracle"]
    assert caller["events"] == 3_000
    assert caller["accepted"] == caller["expected"]["accepted"] == report["ledger"]["accepted"] == oracle["promised"]
    assert caller["repeats"] == caller["expected"]["repeats"]
    assert sum(caller["refused"].values()) == caller["expected"]["refused"]
    assert report["ledger"]["imbalance"] == 0
    assert all(check["holds"] for check in report["ledger"]["checks"])
    assert oracle["lost"] == {}
    assert oracle["duplicates_unexplained"] == oracle["unplanned"] == 0
    assert report["unfinished"] == 0
    assert {fault["name"] for fault in report["faults"]} >= {"email outage", "kill -9", "push failing"}
    (ended,) = report["ended"]
    assert (ended["role"], ended["status"]) == ("bulk", -signal.SIGKILL)
    assert ended["again"] not in (0, ended["pid"])
    kept = tmp_path / "kept" / "bellhouse"
    # The report has what was seen twice a second, and a machine that is busy may look away while a breaker is open.
    assert "sendgrid" in _opened(kept / "serve.log")
    assert set(report["by_channel"]) == {"push", "email", "sms", "in_app"}
    assert (kept / "bellhouse.db").exists()


def _opened(log: Path) -> set[str]:
    """The providers whose breakers have opened."""
    lines = [line for line in log.read_text().splitlines() if '"Circuit breaker state changed"' in line]
    return {line["provider"] for line in map(json.loads, lines) if line["new_state"] == "open"}


def test_the_same_day_on_real_engines_is_played_through_a_kill_of_each_and_adds_up() -> None:
    command = (sys.executable, "-m", "bellhouse", "demo", "--cluster", "--fast", "--json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    report = json.loads(done.stdout)
    caller, oracle = report["caller"], report["oracle"]
    assert caller["events"] == 3_000
    assert caller["accepted"] == report["ledger"]["accepted"] == oracle["promised"]
    assert report["ledger"]["imbalance"] == 0
    assert all(check["holds"] for check in report["ledger"]["checks"])
    assert oracle["lost"] == {}
    assert oracle["duplicates_unexplained"] == oracle["unplanned"] == 0
    assert report["unfinished"] == 0
    assert {fault["name"] for fault in report["faults"]} >= {"broker restart", "database restart", "cache loss"}
    killed = [ended for ended in report["ended"] if ended["status"] == -signal.SIGKILL]
    assert {ended["role"] for ended in killed} == {"relay", "router", "push worker", "scheduler"}
    assert {ended["again"] for ended in killed}.isdisjoint({ended["pid"] for ended in killed} | {0})
    assert len(report["roles"]) == 9
    assert set(report["by_channel"]) == {"push", "email", "sms", "in_app"}


def test_a_bad_line_of_an_own_file_is_told_with_its_number_and_remedy(tmp_path: Path) -> None:
    day = tmp_path / "day.ndjson"
    day.write_text(
        '{"kind":"event","at":"2026-11-23T08:00:00Z","notification":{"user_id":"u","type":"t"}}\n{"kind":1}\n'
    )
    command = (sys.executable, "-m", "bellhouse", "demo", "--events", str(day))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "line 2" in done.stderr
