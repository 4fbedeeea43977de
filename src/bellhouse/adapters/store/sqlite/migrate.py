"""Brings the file's schema to this program's version: numbered SQL files, each applied once, in one transaction."""

from importlib import resources
from typing import Final

from bellhouse.adapters.store.sqlite.database import Database
from bellhouse.ports.log import GROUP_OF, TOPICS
from bellhouse.ports.store.errors import StoreUnavailable

_APPLICATION_ID: Final = 0x42454C4C
"""`BELL`: what `PRAGMA application_id` says of a file of ours."""


def log_table(topic: str) -> str:
    """The table of a topic's records."""
    return "log_" + topic.replace(".", "_")


def versions() -> list[tuple[int, str]]:
    """The schema's steps: (version, SQL), ascending."""
    folder = resources.files("bellhouse.adapters.store.sqlite").joinpath("schema")
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_", 1)[0]), folder.joinpath(name).read_text("utf-8")) for name in files]


def current(database: Database) -> int:
    """The file's version; 0 for a new file."""
    return int(database.rows("PRAGMA user_version")[0][0])


def is_current(database: Database) -> bool:
    """Whether nothing is missing; nothing is written. Raises like `migrate`."""
    with database.snapshot():
        version = current(database)
        owner = int(database.rows("PRAGMA application_id")[0][0])
        tables = {row[0] for row in database.rows("SELECT name FROM sqlite_schema")}
    _insist_on_ours(database, version, owner, len(tables))
    return version == versions()[-1][0] and tables.issuperset(map(log_table, TOPICS))


def migrate(database: Database) -> list[int]:
    """Apply what is missing; answers the versions that were applied.

    Raises StoreUnavailable for a file of another program or of a newer version of this one.
    """
    applied = []
    with database.write() as transaction:
        version = int(transaction.run("PRAGMA user_version").fetchall()[0][0])
        owner = int(transaction.run("PRAGMA application_id").fetchall()[0][0])
        tables = transaction.run("SELECT count(*) FROM sqlite_schema").fetchall()[0][0]
        _insist_on_ours(database, version, owner, tables)
        steps = versions()
        for number, sql in steps:
            if number > version:
                transaction.run(sql)
                applied.append(number)
        for topic in TOPICS:
            transaction.run(
                f"CREATE TABLE IF NOT EXISTS {log_table(topic)} (offset INTEGER PRIMARY KEY, record BLOB NOT NULL)"
            )
            transaction.run("INSERT OR IGNORE INTO positions VALUES (?, ?, 0)", (topic, GROUP_OF[topic]))
        transaction.run(f"PRAGMA application_id = {_APPLICATION_ID}")
        transaction.run(f"PRAGMA user_version = {steps[-1][0]}")
    return applied


def _insist_on_ours(database: Database, version: int, owner: int, tables: int) -> None:
    """Raise StoreUnavailable for a file of another program or of a newer version of this one."""
    if owner != _APPLICATION_ID and (owner or tables):
        raise StoreUnavailable("foreign_file", f"{database.path} belongs to another program; choose another --data")
    newest = versions()[-1][0]
    if version > newest:
        raise StoreUnavailable("newer_schema", f"the file has schema {version}, this program {newest}: upgrade")
