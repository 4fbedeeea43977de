"""Locks on files: one owner, named to whoever comes second, gone with its process."""

import os
import subprocess
import sys

import pytest

from bellhouse.app.folder import CannotServe, lock_folder, take_role_locks
from bellhouse.app.locks import Held, holder, take


def test_the_second_is_told_who_holds_the_lock(tmp_path):
    first = take(tmp_path / "lock")
    with pytest.raises(Held) as refused:
        take(tmp_path / "lock")
    assert refused.value.pid == os.getpid()
    first.release()
    assert holder(tmp_path / "lock") is None


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path):
    script = "import sys; from pathlib import Path; from bellhouse.app.locks import take\n"
    script += "lock = take(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert holder(path) == other.pid
        other.kill()
        other.wait()
    take(path, wait_s=5).release()


def test_a_role_that_plays_both_keeps_out_each_of_them(tmp_path):
    locks = take_role_locks(tmp_path, "all", 0)
    for role in ("api", "bulk", "all"):
        with pytest.raises(CannotServe, match=str(os.getpid())):
            take_role_locks(tmp_path, role, 0)
    for lock in locks:
        lock.release()


def test_an_old_role_that_does_not_end_is_named_with_what_to_do(tmp_path):
    said: list[str] = []
    old = take_role_locks(tmp_path, "bulk", 0)
    with pytest.raises(CannotServe, match="kill -9"):
        lock_folder(tmp_path, 0.05, said.append)
    assert str(os.getpid()) in said[0]
    old[0].release()
    lock_folder(tmp_path, 0, said.append).release()


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotServe, match="--data"):
        lock_folder(tmp_path / "file" / "data", 0, print)
