"""A house on one machine moves to the cluster: what it had promised arrives, and nothing is told twice that was known.

The oracle stands outside both stores: what callers were answered, and what the outside world has received.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from bellhouse.adapters.store.sqlite import migrate as schema_of_files
from bellhouse.app.move import COUNTING, Step, move, plan
from bellhouse.app.move_needs import CannotMove
from bellhouse.app.settings import Settings, load
from bellhouse.engines.postgres_tools import sql
from bellhouse.ops.move import MoveReport
from bellhouse.ports.store.errors import StoreUnavailable
from tests.acceptance.cluster import ClusterHouse, Engines
from tests.acceptance.conftest import cluster_engines
from tests.acceptance.house import House
from tests.acceptance.waiting import wait_until
from tests.move.stopped import EMAIL_PROVIDERS, Stopped, apsw_value

TAKEN = ("accepted", "accepted_answer_lost")
TABLES = (
    "tenants", "api_keys", "types", "templates", "breakers", "levers", "audit", "recipients", "suppressions",
    "collapse_keys", "inbox", "dead_letters", "notifications", "decisions", "delivery_events", "idempotency_keys",
    "ledger", "due", "outbox",
)  # fmt: skip
SMALL = {"rows": 900, "records": 400}
"""Batches so small that a move of the tests' house has many of them."""


class MovedHouse(ClusterHouse):
    """The cluster that a house has moved to: one process plays everything."""

    def __init__(self, folder: Path, stopped: Stopped, engines: Engines, prefix: str, pepper: Path) -> None:
        super().__init__(folder, stopped.world, engines, prefix, roles={"all": ("all",)})
        # Callbacks of what was sent before the move go to the old place.
        self.url = stopped.house.url
        own = {"port": f"port = {self.url.rpartition(':')[2]}", "secret": f'secret = "@{pepper}"'}
        toml = folder / "bellhouse.toml"
        lines = [own.get(line.partition(" ")[0], line) for line in toml.read_text().splitlines()]
        toml.write_text("\n".join(lines))
        self._prepared = True
        shutil.copy(stopped.data / "development.key", folder)


def settings_of(url: str, data: Path) -> Settings:
    """The target's settings, with nothing from the environment."""
    return load({"data": data, "store": {"url": url}}, environment={}).settings


def command(data: Path, url: str, *more: str) -> list[str]:
    return [
        sys.executable, "-P", "-m", "bellhouse", "move", "--from", f"sqlite:{data}", "--to", url, "--data", str(data),
        *more,
    ]  # fmt: skip


def run(data: Path, url: str, *more: str, status: int = 0) -> Any:
    """`bellhouse move --json`, with its answer."""
    done = subprocess.run(command(data, url, "--json", *more), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def rows_of(url: str) -> dict[str, int]:
    """How many rows the target's tables have; of the outbox, how many records."""
    counts = {table: sql(url, f"SELECT count(*) FROM {table}")[0] for table in TABLES}
    counts["outbox"] = sql(url, "SELECT coalesce(sum(count), 0) FROM outbox")[0]
    return {table: int(count) for table, count in counts.items()}


def fingerprint_of(url: str) -> list[str]:
    """What must be the same however often a move was interrupted: everything but moments and numbers of batches."""
    return [
        sql(url, statement)[0]
        for statement in (
            "SELECT md5(string_agg(id::text || record::text, ',' ORDER BY id)) FROM notifications",
            "SELECT md5(string_agg(id::text || record::text, ',' ORDER BY id)) FROM decisions",
            "SELECT md5(string_agg(id::text || kind || n || state || previous, ',' ORDER BY id, kind, n))"
            " FROM delivery_events",
            "SELECT md5(string_agg(id::text || topic || key || parked, ',' ORDER BY id)) FROM due",
            "SELECT md5(string_agg(key::text || id::text, ',' ORDER BY key)) FROM idempotency_keys",
            "SELECT md5(string_agg(topic || records::text, ',' ORDER BY batch)) FROM outbox",
            "SELECT string_agg(number || act || at || record::text, ',' ORDER BY number) FROM audit",
            "SELECT sum(length(keys)) / 16 FROM acceptances",
            "SELECT value FROM meta WHERE name = 'accepted'",
            "SELECT last_value FROM recipients_recipient_seq",
            "SELECT string_agg(level || state || n, ',' ORDER BY level, state) FROM (SELECT level, state, sum(n) AS n"
            " FROM (SELECT level, state, count AS n FROM ledger UNION ALL SELECT level, state, moved FROM ledger_moves)"
            " AS every GROUP BY 1, 2) AS folded WHERE n <> 0",
        )
    ]


@contextmanager
def database(postgres: Any, name: str) -> Iterator[str]:
    """A database of that name, for as long as it is needed."""
    yield postgres.create(name)
    postgres.drop(name)


# --- the whole way ---


def test_what_one_machine_promised_arrives_once_through_the_cluster(
    request: pytest.FixtureRequest, stopped: Stopped, tmp_path: Path
) -> None:
    data = stopped.copy(tmp_path / "source")
    with cluster_engines(request) as (engines, prefix):
        report = run(data, engines.database)
        assert report["balances"]
        assert report["interrupted"] > 500
        assert {line["kind"] for line in report["pending"] if line["target"] > 0} == {
            "notifications to be routed", "scheduled notifications", "deliveries to be sent", "waiting deliveries",
            "parked deliveries",
        }  # fmt: skip
        house = MovedHouse(tmp_path / "cluster", stopped, engines, prefix, data / "pepper")
        house.cli("topics", "--create")
        with house:
            _sees_what_was_promised(house, stopped, report)


def _sees_what_was_promised(house: MovedHouse, stopped: Stopped, report: Any) -> None:
    client = house.client()
    body, first = stopped.first
    again = client.ask("POST", "/v1/notifications", body)
    assert (again.status, again.json["id"]) == (202, first)
    assert house.client(stopped.send_key).ask("POST", "/v1/notifications", body).json["id"] == first
    house.balances()
    letters = client.get("/v1/dead-letters?channel=push&limit=100")["dead_letters"]
    assert {letter["notification_id"] for letter in letters} == set(stopped.dead)
    client.post("/v1/dead-letters/replay", {"ids": [letter["id"] for letter in letters]})
    acts = [(act["act"], act["why"]) for act in client.get("/v1/audit")["acts"]]
    assert ("rate_set", "it moves along") in acts, "what operators did before is known"
    assert acts[0][0] == "dlq_replay", "and what they do now comes behind it"
    forced = [row for row in client.get("/v1/breakers")["breakers"] if row["provider"] in EMAIL_PROVIDERS]
    assert [row["forced"] for row in forced] == ["open", "open"]
    for provider in EMAIL_PROVIDERS:
        client.post(f"/v1/breakers/{provider}/reset")
    _comes_to_rest(house)
    _arrived_once(stopped, report["interrupted"])
    ledger = house.balances()
    assert ledger["accepted"] == len(stopped.accepted)
    new = client.send(stopped.people[0].id, "order", channels=["push"], data={"who": "Ada", "n": 1})
    wait_until(lambda: stopped.world.calls_for(new), what="a new notification was not sent")


def _comes_to_rest(house: MovedHouse) -> None:
    """Wait until nothing is on its way any more."""
    unfinished = {"waiting", "in_flight", "unknown", "sent"}

    def rests() -> bool:
        lines = house.client().ledger(recount=False)["lines"]
        return not sum(abs(line["counted"]) for line in lines if line["state"] in unfinished)

    wait_until(rests, 120, lambda: [line for line in house.client().ledger()["lines"] if line["counted"]])


def _arrived_once(stopped: Stopped, interrupted: int) -> None:
    arrivals = Counter(
        receipt["notification_id"] for receipt in stopped.world.api.receipts() if receipt["verdict"] in TAKEN
    )
    sent = {
        identifier
        for identifier, channels in stopped.accepted.items()
        if channels != ("in_app",) and identifier not in stopped.cancelled
    }
    assert sent <= arrivals.keys(), f"{len(sent - arrivals.keys())} never arrived"
    assert not set(stopped.cancelled) & arrivals.keys()
    repeated = [identifier for identifier, times in arrivals.items() if times > 1]
    assert max(arrivals.values()) <= 2
    assert len(repeated) <= interrupted
    assert {stopped.accepted[identifier] for identifier in repeated} <= {("push",)}


# --- killed and begun again ---


def test_a_move_that_is_killed_after_each_of_its_steps_ends_the_same(
    stopped: Stopped, tmp_path: Path, postgres: Any
) -> None:
    whole = stopped.copy(tmp_path / "whole")
    with database(postgres, f"whole_{os.getpid()}") as one, database(postgres, f"pieces_{os.getpid()}") as other:
        steps: list[Step] = []
        straight = move(settings_of(one, whole), whole, steps.append, **SMALL)
        pieces = stopped.copy(tmp_path / "pieces")
        killed = 0
        report: MoveReport | None = None
        while report is None:
            try:
                report = move(settings_of(other, pieces), pieces, _Killer(), **SMALL)
            except KeyboardInterrupt:
                killed += 1
        assert killed > 25
        assert report.balances
        assert (report.tables, report.pending, report.ledger) == (straight.tables, straight.pending, straight.ledger)
        assert rows_of(other) == rows_of(one)
        assert fingerprint_of(other) == fingerprint_of(one)


class _Killer:
    """Lets one batch be written, and ends the move after the next one: at the latest before both sides are counted."""

    def __init__(self) -> None:
        self._written = 0

    def __call__(self, step: Step) -> None:
        if step.part == COUNTING or not step.done:
            return
        if self._written:
            raise KeyboardInterrupt
        self._written += 1


@pytest.mark.parametrize("table", ["recipients", "notifications", "delivery_events", "outbox"])
def test_a_command_that_is_killed_is_run_again_and_ends_well(
    table: str, stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    with subprocess.Popen(command(data, database_url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: _has_rows(database_url, table) or process.poll() is not None, 60)
        process.send_signal(signal.SIGKILL)
    report = run(data, database_url)
    assert report["balances"]
    assert run(data, database_url) == report
    assert sql(database_url, "SELECT count(*) FROM meta WHERE name = 'moving'") == ["0"]


def test_a_move_whose_last_batches_the_database_forgets_ends_and_is_run_again(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")

    def forget(step: Step) -> None:
        if step.part == "notifications":
            sql(database_url, "DELETE FROM notifications")
            sql(database_url, "DELETE FROM move_parts WHERE part = 'notifications'")

    with pytest.raises(StoreUnavailable, match="run `bellhouse move` again"):
        move(settings_of(database_url, data), data, forget, **SMALL)
    assert move(settings_of(database_url, data), data, _ignore, **SMALL).balances


def test_a_database_that_differs_is_told_with_what_to_do_and_begun_anew(
    stopped: Stopped, tmp_path: Path, postgres: Any
) -> None:
    data = stopped.copy(tmp_path / "source")
    name = f"differs_{os.getpid()}"

    def stop(step: Step) -> None:
        if step.part == "suppressions":
            raise KeyboardInterrupt

    with database(postgres, name) as url:
        with pytest.raises(KeyboardInterrupt):
            move(settings_of(url, data), data, stop)
        sql(url, "DELETE FROM recipients WHERE recipient = (SELECT max(recipient) FROM recipients)")
        done = subprocess.run(command(data, url), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1
        assert "DIFFERS" in done.stdout
        assert "Drop and create the database, and run the command again" in " ".join(done.stdout.split())
    with database(postgres, name) as url:
        assert run(data, url)["balances"]


def _has_rows(url: str, table: str) -> bool:
    made = sql(url, f"SELECT to_regclass('{table}') IS NOT NULL")[0] == "t"
    return made and sql(url, f"SELECT EXISTS (SELECT FROM {table})")[0] == "t"


def test_nobody_starts_on_either_side_of_a_move_that_has_not_ended(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    with pytest.raises(KeyboardInterrupt):
        move(settings_of(database_url, data), data, _Killer(), **SMALL)
    source = House(data, None, settings="")
    assert "is being moved to" in source.cli("serve", "--port", "0", status=1)
    (data / "bellhouse.toml").write_text(f'[store]\nurl = "{database_url}"\n')
    assert "bellhouse move" in source.cli("keys", "list", status=1)
    assert run(data, database_url)["balances"]
    assert len(json.loads(source.cli("keys", "list", "--json"))["keys"]) == 2


# --- refused in words ---


def test_a_folder_that_has_moved_is_not_served_until_its_mark_is_deleted(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    report = run(data, database_url)
    house = House(data, None)
    refused = house.cli("serve", "--port", "0", status=1)
    assert report["moved_to"] in refused
    assert "moved.json" in refused
    (data / "moved.json").unlink()
    with house:
        assert house.client().ledger()["accepted"] == len(stopped.accepted)


def test_a_folder_that_is_served_is_refused_and_may_be_looked_at(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    with House(data, None, 1) as house:
        assert house.process is not None
        refused = run(data, database_url, status=1)["error"]["message"]
        assert f"is being served by process {house.process.pid}" in refused
        looked = run(data, database_url, "--dry-run", status=1)
        assert looked["rows"]["recipients"] == len(stopped.people)
        assert "stop it first" in looked["obstacles"][0]
    assert not (data / "moved.json").exists()


def test_a_dry_run_counts_what_a_move_then_carries_and_writes_nothing(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    looked = run(data, database_url, "--dry-run")
    assert looked["obstacles"] == []
    assert looked["interrupted"] + looked["pending"]["deliveries to be sent"] == stopped.behind_positions()
    assert sql(database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == ["0"]
    assert not (data / "moved.json").exists()
    report = run(data, database_url)
    assert {line["table"]: line["written"] for line in report["tables"]} == looked["rows"]
    assert report["interrupted"] == looked["interrupted"]
    carried = {line["kind"]: line["target"] for line in report["pending"]}
    assert carried == {
        **looked["pending"],
        "waiting deliveries": looked["pending"]["waiting deliveries"] + looked["interrupted"],
    }


def test_a_dry_run_says_that_a_file_is_of_an_older_schema_and_leaves_it_so(
    stopped: Stopped, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = stopped.copy(tmp_path / "source")
    before = apsw_value(data, "PRAGMA user_version")
    newer = [*schema_of_files.versions(), (before + 1, "CREATE TABLE more (id INTEGER)")]
    monkeypatch.setattr(schema_of_files, "versions", lambda: newer)
    looked = plan(settings_of(database_url, data), data)
    assert "older schema" in looked.obstacles[0]
    assert (looked.rows, looked.pending) == ({}, {})
    assert apsw_value(data, "PRAGMA user_version") == before
    assert move(settings_of(database_url, data), data, _ignore).balances
    assert apsw_value(data, "PRAGMA user_version") == before + 1


def test_a_database_with_something_of_its_own_is_refused_with_what_that_is(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    other = House(tmp_path / "other", None, settings=f'[store]\nurl = "{database_url}"\n')
    other.cli("migrate")
    other.cli("keys", "create")
    refused = run(data, database_url, status=1)["error"]["message"]
    assert "something of its own (tenants, api_keys)" in refused
    assert rows_of(database_url)["notifications"] == 0
    assert not (data / "moved.json").exists()


def test_a_database_that_another_folder_is_moving_into_is_refused(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    first, second = stopped.copy(tmp_path / "first"), stopped.copy(tmp_path / "second")
    with pytest.raises(KeyboardInterrupt):
        move(settings_of(database_url, first), first, _Killer(), **SMALL)
    with pytest.raises(CannotMove, match="Another move"):
        move(settings_of(database_url, second), second, _ignore)
    assert plan(settings_of(database_url, second), second).obstacles
    assert move(settings_of(database_url, first), first, _ignore).balances


def test_a_move_goes_on_only_where_it_has_begun(
    stopped: Stopped, tmp_path: Path, postgres: Any, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    with pytest.raises(KeyboardInterrupt):
        move(settings_of(database_url, data), data, _Killer(), **SMALL)
    with (
        database(postgres, f"elsewhere_{os.getpid()}") as elsewhere,
        pytest.raises(CannotMove, match="is being moved to"),
    ):
        move(settings_of(elsewhere, data), data, _ignore)
    assert move(settings_of(database_url, data), data, _ignore).balances
    with database(postgres, f"again_{os.getpid()}") as again, pytest.raises(CannotMove, match="has been moved to"):
        move(settings_of(again, data), data, _ignore)


def test_a_move_that_has_ended_is_not_said_to_agree_with_a_database_that_has_nothing_of_it(
    stopped: Stopped, tmp_path: Path, postgres: Any
) -> None:
    data = stopped.copy(tmp_path / "source")
    name = f"dropped_{os.getpid()}"
    with database(postgres, name) as url:
        report = move(settings_of(url, data), data, _ignore)
        assert move(settings_of(url, data), data, _ignore) == report
    with database(postgres, name) as url:
        with pytest.raises(CannotMove, match=r"nothing of it.*delete .*moved\.json"):
            move(settings_of(url, data), data, _ignore)
        House(tmp_path / "other", None, settings=f'[store]\nurl = "{url}"\n').cli("migrate")
        with pytest.raises(CannotMove, match="nothing of it"):
            move(settings_of(url, data), data, _ignore)
        (data / "moved.json").unlink()
        assert move(settings_of(url, data), data, _ignore).balances


def test_a_database_on_which_roles_run_is_refused(stopped: Stopped, tmp_path: Path, database_url: str) -> None:
    data = stopped.copy(tmp_path / "source")
    House(tmp_path / "other", None, settings=f'[store]\nurl = "{database_url}"\n').cli("migrate")
    alive = "INSERT INTO processes VALUES ('p', '', now() + interval '1 hour')"
    sql(database_url, alive)
    with pytest.raises(CannotMove, match="1 roles run"):
        move(settings_of(database_url, data), data, _ignore)


def test_keys_are_not_moved_to_hosts_that_would_not_know_them(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    for environment in ({"BELLHOUSE_SECRET": "x" * 32}, {"BELLHOUSE_SECRET": "pepper:" + "ab" * 32}):
        settings = load({"data": data, "store": {"url": database_url}}, environment=environment).settings
        with pytest.raises(CannotMove, match='BELLHOUSE_SECRET="@'):
            move(settings, data, _ignore)
    other = tmp_path / "roles"
    other.mkdir()
    (other / "pepper").write_bytes(os.urandom(32))
    with pytest.raises(CannotMove, match="another pepper"):
        move(settings_of(database_url, other), data, _ignore)
    (other / "pepper").unlink()
    assert move(settings_of(database_url, other), data, _ignore).balances
    assert (other / "pepper").read_bytes() == (data / "pepper").read_bytes()


def test_a_place_without_a_database_and_words_that_are_none_are_told_apart(tmp_path: Path, database_url: str) -> None:
    assert "There is no database" in run(tmp_path, database_url, status=1)["error"]["message"]
    assert not (tmp_path / "pepper").exists()
    for wrong in (["--from", "postgresql://there"], ["--to", "mysql://there"]):
        done = subprocess.run(
            [*command(tmp_path, database_url), *wrong], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2
        assert "sqlite:" in done.stderr or "postgresql://" in done.stderr


def _ignore(_: Step) -> None:
    """Nobody looks."""


# --- what the target keeps ---


def test_numbers_of_recipients_that_were_deleted_and_of_acts_are_not_given_again(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    highest = apsw_value(data, "SELECT seq FROM sqlite_sequence WHERE name = 'recipients'")
    assert highest > apsw_value(data, "SELECT max(recipient) FROM recipients")
    run(data, database_url)
    assert sql(database_url, "SELECT nextval('recipients_recipient_seq')") == [str(highest + 1)]
    assert sql(database_url, "SELECT nextval('tenants_tenant_seq')") == ["2"]
    acts = apsw_value(data, "SELECT max(number) FROM audit")
    assert acts > 1
    assert sql(database_url, "SELECT nextval('audit_number_seq')") == [str(acts + 1)]


def test_keys_that_have_lived_their_day_are_left_behind_and_the_others_are_forgotten_in_time(
    stopped: Stopped, tmp_path: Path, database_url: str
) -> None:
    data = stopped.copy(tmp_path / "source")
    with apsw.Connection(str(data / "bellhouse.db")) as connection:
        old = (2 * 86_400_000).to_bytes(6) + bytes(10)
        connection.execute("INSERT INTO idempotency_keys VALUES (0, ?, ?, ?)", (os.urandom(16), old, b"12345678"))
    connection.close()
    run(data, database_url)
    assert rows_of(database_url)["idempotency_keys"] == len(stopped.accepted)
    named = sql(database_url, "SELECT sum(length(keys)) / 16, sum(count) FROM acceptances")
    assert named == [f"{len(stopped.accepted)}|0"]
