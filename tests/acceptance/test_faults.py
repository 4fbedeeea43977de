"""What goes wrong on the machine: a full disk, a read-only file, a clock that is set, a process that stands still."""

import ctypes
import os
import resource
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import Answer, Client
from tests.acceptance.house import QUICK, House, World, took
from tests.acceptance.people import DATA, define, of, person
from tests.acceptance.waiting import wait_until

SLOW = {"kind": "fixed", "min_ms": 300}


def push_of(who: str, **fields: object) -> dict[str, Any]:
    return {"user_id": who, "type": "order", "channels": ["push"], "data": DATA, **fields}


def all_at(client: Client, ids: list[str], channel: str, states: tuple[str, ...]) -> None:
    """Wait until the deliveries of these notifications have come to one of the states."""

    def behind() -> list[str]:
        stories = (client.story(identifier) for identifier in ids)
        return [str(story) for story in stories if not story["deliveries"] or of(story, channel)["state"] not in states]

    wait_until(lambda: not behind(), 40, lambda: behind()[:3])


# --- a full disk ---


class Disk:
    """A volume that can be filled and emptied: a small tmpfs or, where none may be mounted, files that may not grow."""

    def __init__(self, path: Path, mounted: bool, house: Callable[[], House]) -> None:
        self.path = path
        self.mounted = mounted
        self.reason = "disk_full" if mounted else "io"
        self._house = house

    def fill(self) -> None:
        """From now on nothing can be written that is not there already."""
        if not self.mounted:
            grown = (self._house().data / "bellhouse.db-wal").stat().st_size
            self._limit(grown)
            return
        with (self.path / "filler").open("wb", buffering=0) as filler:
            for size in (1 << 20, 1 << 16, 1 << 12, 1):
                while _written(filler.fileno(), size):
                    pass

    def free(self) -> None:
        """There is space again."""
        if self.mounted:
            (self.path / "filler").unlink()
        else:
            self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for pid in self._house().roles().values():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _written(descriptor: int, size: int) -> bool:
    try:
        return os.write(descriptor, bytes(size)) == size
    except OSError:
        return False


@contextmanager
def small_disk(path: Path, house: Callable[[], House]) -> Iterator[Disk]:
    path.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(path))
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield Disk(path, mounted, house)
    finally:
        if mounted:
            subprocess.run(("umount", "-l", str(path)), check=True)


def test_a_full_disk_refuses_in_words_and_service_resumes_with_the_space(tmp_path: Path, world: World) -> None:
    world.fresh()
    houses: list[House] = []
    with small_disk(tmp_path / "disk", lambda: houses[0]) as disk:
        unprotected = QUICK.replace("[limits]", "[limits]\ndisk_reserve_bytes = 0")
        houses.append(House(disk.path / "data", world, settings=unprotected))
        with houses[0] as house:
            client = house.client()
            define(client)
            ada = person(client)
            world.dial("fcm", latency=SLOW)
            before = [client.send(ada.id, "order", data=DATA, channels=["push"]) for _ in range(30)]
            disk.fill()
            accepted, refused, bodies = _until_refused(client, ada.id)
            assert (refused.status, refused.json["code"]) == (503, "store_unavailable")
            assert disk.reason in refused.json["detail"]
            assert "volume" in refused.json["detail"]

            batch = client.ask("POST", "/v1/notifications/batch", {"notifications": bodies[-1:]})
            assert batch.status == 503
            assert client.ask("PUT", f"/v1/recipients/{ada.id}", {"contacts": ada.contacts}).status == 503
            assert client.ask("GET", "/healthz").status == 200
            assert client.story(before[0])["id"] == before[0]
            wait_until(lambda: client.ask("GET", "/readyz").status == 503, 5)
            assert disk.reason in str(client.ask("GET", "/readyz").json)

            disk.free()
            again = wait_until(lambda: _accepted(client, bodies[-1]), 20, house.said)
            wait_until(lambda: client.ask("GET", "/readyz").status == 200)
            everything = [*before, *accepted, again]
            all_at(client, everything, "push", ("delivered",))
            listed = client.get(f"/v1/notifications?user_id={ada.id}&limit=200")["notifications"]
            assert {one["id"] for one in listed} >= set(everything[-150:])
            calls = [one["notification_id"] for one in world.receipts("fcm") if one["verdict"] == "accepted"]
            assert len(calls) == len(set(calls)) == len(everything), "each once"
            assert house.balances()["accepted"] == len(everything)


def _until_refused(client: Client, who: str) -> tuple[list[str], Answer, list[dict[str, Any]]]:
    """Send until the disk is full; answers what was accepted, the refusal, and all requests."""
    accepted: list[str] = []
    bodies: list[dict[str, Any]] = []
    while len(bodies) < 5_000:
        bodies.append(push_of(who, idempotency_key=f"full-{len(bodies)}"))
        answer = client.ask("POST", "/v1/notifications", bodies[-1])
        if answer.status != 202:
            return accepted, answer, bodies
        accepted.append(answer.json["id"])
    raise AssertionError("the disk never got full")


def _accepted(client: Client, body: dict[str, Any]) -> str:
    answer = client.ask("POST", "/v1/notifications", body)
    return str(answer.json["id"]) if answer.status == 202 else ""


# --- a file that cannot be written ---


_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


def _heed_permissions() -> None:
    """Run in a new process before its program: from then on root heeds the permissions of files too."""
    if os.geteuid() == 0:
        assert ctypes.CDLL(None, use_errno=True).prctl(_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0) == 0


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take away the right to write to a folder and its files."""
    files = [path for path in folder.iterdir() if path.is_file()]
    for path in files:
        path.chmod(0o400)
    folder.chmod(0o500)
    yield
    folder.chmod(0o700)
    for path in files:
        path.chmod(0o600)


def test_a_read_only_folder_is_refused_in_words(folder: Path) -> None:
    house = House(folder, None)
    with house:
        pass
    with read_only(folder):
        process = house.begin(preexec_fn=_heed_permissions)
        assert process.wait(20) == 1
        assert "cannot be used" in house.said()
        assert "Traceback" not in house.said()
        failed = house.cli("migrate", status=1, preexec_fn=_heed_permissions)
        assert "writ" in failed
        assert "Traceback" not in failed
    with house:
        house.balances()


# --- who is already there ---


def test_a_second_serve_on_the_same_folder_is_refused_and_names_the_first(folder: Path) -> None:
    with House(folder, None) as house:
        assert house.process is not None
        first = house.process
        second = House(folder, None)
        assert second.begin().wait(20) == 1
        assert f"is being served by process {first.pid}" in second.said()
        assert "--data" in second.said()
        assert house.client().ask("GET", "/readyz").status == 200


def test_a_new_supervisor_waits_for_the_roles_of_a_killed_one_to_finish(folder: Path, world: World) -> None:
    world.fresh()
    house = House(folder, world)
    with house:
        client = house.client()
        define(client)
        ada = person(client)
        world.dial("fcm", latency={"kind": "fixed", "min_ms": 2_000})
        sent = [client.send(ada.id, "order", data=DATA, channels=["push"]) for _ in range(40)]
        wait_until(lambda: _states(client).get("in_flight") == 40)
        old = house.roles()["bulk"]
        house.kill("supervisor")
        house.start()
        assert f"Process {old} of an earlier run is finishing its work" in house.said()
        all_at(house.client(), sent, "push", ("delivered",))
        assert len(world.receipts("fcm")) == 40, "what was in flight was finished, not repeated"
        house.balances()


def _states(client: Client) -> dict[str, int]:
    lines = client.ledger(recount=False)["lines"]
    return {line["state"]: line["counted"] for line in lines if line["level"] == "delivery" and line["counted"]}


# --- the end in good order ---


@pytest.mark.parametrize("processes", [2, 1])
def test_a_drain_finishes_what_is_in_flight_and_loses_nothing(folder: Path, world: World, processes: int) -> None:
    world.fresh()
    house = House(folder, world, processes)
    with house:
        client = house.client()
        define(client)
        people = [person(client) for _ in range(10)]
        world.dial("fcm", latency=SLOW, callback_delay_ms={"min": 0, "max": 200})
        bodies = [push_of(people[n % 10].id) for n in range(800)]
        results = client.post("/v1/notifications/batch", {"notifications": bodies})["results"]
        wait_until(lambda: _states(client).get("in_flight", 0) > 50)
        assert took(lambda: _assert_equal(house.stop(), 0)) < 10
        client.hang_up()
        house.start()
        all_at(house.client(), [result["id"] for result in results[::40]], "push", ("delivered",))
        wait_until(lambda: _states(house.client()) == {"delivered": 800}, 30, lambda: str(_states(house.client())))
        calls = [one["delivery_id"] for one in world.receipts("fcm")]
        assert len(calls) == len(set(calls)) == 800, "a drain repeats nothing"
        house.balances()


def _assert_equal(left: object, right: object) -> None:
    assert left == right


def test_a_drain_that_cannot_finish_ends_in_its_time_and_the_work_is_taken_up(folder: Path, world: World) -> None:
    world.fresh()
    house = House(folder, world, 2, QUICK.replace("drain_timeout_s = 10", "drain_timeout_s = 2"))
    with house:
        client = house.client()
        define(client)
        ada = person(client)
        world.dial("fcm", outage="hang")
        sent = [client.send(ada.id, "order", data=DATA, channels=["push"]) for _ in range(20)]
        wait_until(lambda: _states(client).get("in_flight") == 20)
        client.hang_up()
        assert took(lambda: _assert_equal(house.stop(), 1)) < 6
        world.dial("fcm", outage="none")
        house.start()
        all_at(house.client(), sent, "push", ("delivered",))
        house.balances()


def test_a_key_is_remembered_over_a_restart(folder: Path) -> None:
    house = House(folder, None)
    with house:
        client = house.client()
        define(client)
        ada = person(client)
        first = client.ask("POST", "/v1/notifications", push_of(ada.id, idempotency_key="k"))
        client.hang_up()
        assert house.stop() == 0
        house.start()
        again = house.client().ask("POST", "/v1/notifications", push_of(ada.id, idempotency_key="k"))
        assert (again.status, again.json) == (202, first.json)
        other = house.client().ask("POST", "/v1/notifications", push_of(ada.id, idempotency_key="k", priority="low"))
        assert other.status == 422
        assert house.balances()["accepted"] == 1


# --- a process that stands still ---


def test_critical_goes_on_while_the_bulk_process_stands_still_and_nothing_is_repeated(
    folder: Path, world: World
) -> None:
    world.fresh()
    with House(folder, world) as house:
        client = house.client()
        define(client)
        ada = person(client)
        world.dial("fcm", latency=SLOW)
        bulk = house.roles()["bulk"]
        before = [client.send(ada.id, "order", data=DATA, channels=["push"]) for _ in range(20)]
        wait_until(lambda: _states(client).get("in_flight", 0) == 20)
        os.kill(bulk, signal.SIGSTOP)
        try:
            stopped_at = time.monotonic()
            alerts = [client.send(ada.id, "alert", data=DATA, channels=["push"]) for _ in range(20)]
            behind = [client.send(ada.id, "order", data=DATA, channels=["push"]) for _ in range(20)]
            all_at(client, alerts, "push", ("delivered",))
            wait_until(lambda: time.monotonic() > stopped_at + 3)
            assert {one["state"] for one in client.get("/v1/notifications?type=order&limit=20")["notifications"]} == {
                "waiting"
            }
        finally:
            os.kill(bulk, signal.SIGCONT)
        all_at(client, [*before, *behind], "push", ("delivered",))
        calls = [one["delivery_id"] for one in world.receipts("fcm")]
        assert len(calls) == len(set(calls)) == 60
        assert house.roles()["bulk"] == bulk
        house.balances()


# --- the clock is set ---


class ShiftedClock:
    """The wall clock of a house's processes, which a test may set."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set(timedelta(0))
        shim = str(Path(__file__).parent / "shifted")
        known = os.environ.get("PYTHONPATH")
        self.environment = {
            "SHIFTED_CLOCK": str(path),
            "PYTHONPATH": os.pathsep.join([shim, known]) if known else shim,
        }

    def set(self, off: timedelta) -> None:
        """Set it to so much more than the real time."""
        self.off = off
        written = struct.pack("<q", int(off.total_seconds() * 1e9))
        if self._path.exists():
            with self._path.open("r+b") as file:
                file.write(written)
        else:
            self._path.write_bytes(written)

    def now(self) -> datetime:
        """What the processes take for now."""
        return datetime.now(UTC) + self.off


@pytest.mark.parametrize("processes", [2, 1])
def test_nothing_is_lost_when_the_clock_is_set_back_and_forth(folder: Path, world: World, processes: int) -> None:
    world.fresh()
    clock = ShiftedClock(folder.parent / "clock")
    # What fails shall not be given up before the clock is set, however slow the machine is.
    patient = QUICK.replace("[retry]", "[retry]\nmax_attempts = 20")
    house = House(folder, world, processes, patient, clock.environment)
    with house:
        client = house.client()
        define(client)
        ada = person(client)

        def send(key: str, **fields: object) -> Answer:
            body = {"user_id": ada.id, "type": "order", "channels": ["sms"], "data": DATA, "idempotency_key": key}
            return client.ask("POST", "/v1/notifications", {**body, **fields})

        first = send("k").json["id"]
        all_at(client, [first], "sms", ("delivered",))
        later = send("later", send_at=(clock.now() + timedelta(seconds=4)).isoformat()).json["id"]
        world.dial("twilio", errors={"20503": 1})
        world.dial("vonage", errors={"http_503": 1})
        failing = send("failing").json["id"]
        wait_until(lambda: of(client.story(failing), "sms")["attempts"] if client.story(failing)["deliveries"] else 0)

        clock.set(timedelta(hours=-2))
        world.dial("twilio", errors=None)
        world.dial("vonage", errors=None)
        assert datetime.fromisoformat(client.ledger()["at"]) < datetime.now(UTC) - timedelta(hours=1)
        assert send("k").json["id"] == first, "a key is known whatever the clock says"
        assert send("k", priority="low").status == 422
        new = send("new").json["id"]
        all_at(client, [first, new], "sms", ("delivered",))
        assert client.story(later)["state"] == "waiting"
        house.balances()

        clock.set(timedelta(seconds=5))
        all_at(client, [later, failing], "sms", ("delivered",))
        clock.set(timedelta(hours=25))
        again = send("k").json["id"]
        assert again != first, "a key lives for 24 hours"
        all_at(client, [again], "sms", ("delivered",))
        assert house.balances()["accepted"] == 5
        calls = [one["delivery_id"] for one in world.receipts() if one["verdict"] == "accepted"]
        assert len(calls) == len(set(calls)) == 5
