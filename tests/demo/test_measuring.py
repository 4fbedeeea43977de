"""What the benchmarks measure with: CPU time, the write-ahead log, latency from receipts."""

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from benchmarks import latency, procs, wal

from bellhouse.domain.ids import new_notification_ids, to_text


def _database(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)")
    return connection


def test_cpu_time_grows_by_about_what_was_used() -> None:
    before = procs.cpu(os.getpid()).total_s
    used = os.times()
    while sum(os.times()[:2]) - sum(used[:2]) < 0.15:
        sum(range(10_000))
    assert 0.1 <= procs.cpu(os.getpid()).total_s - before <= 0.5


def test_a_process_that_has_ended_is_said_to_be_none_and_counts_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(ProcessLookupError):
        procs.cpu(child.pid)
    assert procs.cpu_of([child.pid]) == 0.0


def test_the_children_of_a_process_are_found_with_their_memory() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in procs.children(os.getpid())
        assert procs.rss_bytes(child.pid) > 100_000
    finally:
        child.communicate(b"\n")


def test_the_log_tells_commits_frames_and_distinct_pages(tmp_path: Path) -> None:
    connection = _database(tmp_path / "a.db")
    log = wal.wal_of(tmp_path / "a.db")
    before = wal.written(log)
    for number in range(5):
        connection.execute("INSERT INTO t VALUES (?, zeroblob(100))", (number,))
    after = wal.written(log, skip=before.frames)
    assert after.commits == 5
    assert after.frames == after.dirtied == 5
    assert after.distinct_pages == 1
    assert after.bytes == 5 * (4096 + 24)
    assert before.frames + after.frames == wal.written(log).frames


def test_frames_left_over_from_before_a_checkpoint_do_not_count(tmp_path: Path) -> None:
    connection = _database(tmp_path / "a.db")
    connection.executemany("INSERT INTO t VALUES (?, zeroblob(3000))", [(number,) for number in range(1, 51)])
    connection.execute("PRAGMA wal_checkpoint(RESTART)")
    connection.execute("UPDATE t SET data = zeroblob(10) WHERE id = 1")
    assert wal.written(wal.wal_of(tmp_path / "a.db")).commits == 1


def test_a_pin_keeps_the_log_from_starting_anew(tmp_path: Path) -> None:
    connection = _database(tmp_path / "a.db")
    connection.set_busy_timeout(0)
    with wal.pinned(tmp_path / "a.db"):
        for number in range(3):
            connection.execute("INSERT INTO t VALUES (?, zeroblob(100))", (number,))
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        assert wal.written(wal.wal_of(tmp_path / "a.db")).commits >= 3


def test_an_empty_or_foreign_file_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert wal.written(tmp_path / "empty").frames == 0
    (tmp_path / "foreign").write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="not a write-ahead log"):
        wal.written(tmp_path / "foreign")


def test_stored_bytes_are_the_pages_in_use(tmp_path: Path) -> None:
    connection = _database(tmp_path / "a.db")
    connection.executemany("INSERT INTO t VALUES (?, zeroblob(3000))", [(number,) for number in range(1, 51)])
    full = wal.stored_bytes(tmp_path / "a.db")
    connection.execute("DELETE FROM t")
    assert full > 50 * 3000
    assert wal.stored_bytes(tmp_path / "a.db") < full / 5


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_quantile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert latency.quantile(range(1, 101), share) == expected


def test_a_spread_of_nothing_is_zeros() -> None:
    assert latency.spread([]) == latency.Spread(0, 0.0, 0.0, 0.0, 0.0)
    assert latency.spread([3.0, 1.0, 2.0]) == latency.Spread(3, 2.0, 3.0, 3.0, 3.0)


def test_the_wait_runs_from_the_moment_in_the_id_to_the_first_acceptance() -> None:
    one, other = (to_text(made) for made in new_notification_ids(1_000, 2))
    receipts = [
        {"at": "1970-01-01T00:00:01.300Z", "verdict": "accepted", "notification_id": one},
        {"at": "1970-01-01T00:00:01.250Z", "verdict": "accepted_answer_lost", "notification_id": one},
        {"at": "1970-01-01T00:00:01.100Z", "verdict": "retry", "notification_id": one},
        {"at": "1970-01-01T00:00:01.040Z", "verdict": "accepted", "notification_id": other},
        {"at": "1970-01-01T00:00:01.040Z", "verdict": "accepted", "notification_id": None},
    ]
    accepted = latency.first_acceptances(receipts)
    assert sorted(latency.waits(accepted)) == [40, 250]
    assert latency.waits(accepted, [one, "absent"]) == [250]
