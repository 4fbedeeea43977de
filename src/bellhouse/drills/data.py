"""Drills of what travels: records, templates, dead letters."""

import asyncio
from pathlib import Path
from typing import Final

import apsw

from bellhouse.drills.load import NEWS, template
from bellhouse.drills.scenario import Scenario
from bellhouse.drills.stage import Stage

FAMILY: Final = "data"

_POISON: Final = b"\xc1 no record"
"""No MessagePack begins with this byte."""
_TABLES: Final = ("log_notifications_normal", "log_deliveries_push_normal")
_PATIENCE_MS: Final = 5_000
_EVERY_S: Final = 1.0
_AT_ONCE: Final = 3


def _append(database: Path) -> None:
    connection = apsw.Connection(str(database))
    try:
        connection.set_busy_timeout(_PATIENCE_MS)
        with connection:
            for table in _TABLES * _AT_ONCE:
                connection.execute(f"INSERT INTO {table} (record) VALUES (?)", (_POISON,))
    finally:
        connection.close()


async def _poison(stage: Stage) -> None:
    """A writer of a foreign version goes on writing what nobody can read."""

    async def keep() -> None:
        while True:
            await asyncio.to_thread(_append, stage.house.data / "bellhouse.db")
            await stage.clock.sleep(_EVERY_S)

    stage.begin(keep())


async def _no_more_poison(stage: Stage) -> None:
    await stage.end()


async def _bad_version(stage: Stage) -> None:
    await stage.client.put(f"/v1/templates/{NEWS}", template(bad=True))


async def _good_version(stage: Stage) -> None:
    await stage.act("/v1/levers/pause", template=NEWS)
    await stage.client.put(f"/v1/templates/{NEWS}", template())
    await stage.act("/v1/dead-letters/discard", filter={"reason": "dead_lettered:not_rendered"})
    await stage.act("/v1/levers/resume", template=NEWS)


async def _foreign_tokens(stage: Stage) -> None:
    await stage.register("hms")


async def _known_tokens(stage: Stage) -> None:
    await stage.register()
    await stage.act("/v1/dead-letters/discard", filter={"reason": "dead_lettered:no_provider"})


SCENARIOS: Final = (
    Scenario(
        "poisoned-record",
        FAMILY,
        "Records that nobody can read are appended to the log, for the router and for the workers of push.",
        "RecordsUnreadable",
        "warning",
        "PoisonedRecord",
        "stop whoever writes them; the rest has gone on all the time",
        _poison,
        _no_more_poison,
    ),
    Scenario(
        "bad-template",
        FAMILY,
        "A version of a template is published that asks for a value that nobody gives.",
        "DLQGrowing",
        "warning",
        "BadTemplateVersion",
        "bellhouse pause --template news; publish a good version; dlq discard; resume",
        _bad_version,
        _good_version,
    ),
    Scenario(
        "dlq-growth",
        FAMILY,
        "An app's release registers tokens of a provider that is not configured.",
        "DLQGrowing",
        "warning",
        "DeadLettersGrowing",
        "the app's release is taken back; bellhouse dlq discard --reason dead_lettered:no_provider",
        _foreign_tokens,
        _known_tokens,
    ),
)
