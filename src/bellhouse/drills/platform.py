"""Drills of what is below the house: processes, disks, clocks, engines."""

from contextlib import suppress
from typing import Final

from bellhouse.drills.scenario import Scenario
from bellhouse.drills.stage import PROVIDERS, Stage

FAMILY: Final = "platform"

_KILL_EVERY_S: Final = 4.0
_AHEAD_S: Final = 90
_LITTLE: Final = 0.02
_ORDER: Final = (("vonage", "sms"), ("smtp", "email"))
"""Who stands by, and where."""
_HEARD_S: Final = 4.0


async def _crash_loop(stage: Stage) -> None:
    async def kill() -> None:
        while True:
            with suppress(ProcessLookupError):
                stage.house.kill("bulk")
            await stage.clock.sleep(_KILL_EVERY_S)

    stage.begin(kill())


async def _no_more_crashes(stage: Stage) -> None:
    await stage.end()


async def _disk_fills(stage: Stage) -> None:
    stage.free(_LITTLE)


async def _disk_freed(stage: Stage) -> None:
    await stage.act("/v1/levers/pause", priority="low")
    stage.free(None)
    await stage.act("/v1/levers/resume", priority="low")


async def _clock_ahead(stage: Stage) -> None:
    """All outside agree that our clock is ahead; those that stand by are asked as well."""
    for provider in PROVIDERS:
        await stage.dial(provider, clock_ahead_s=-_AHEAD_S)
    for provider, channel in _ORDER:
        await stage.act("/v1/levers/prefer", provider=provider, channel=channel)
    await stage.clock.sleep(_HEARD_S)
    for _, channel in _ORDER:
        await stage.act("/v1/levers/prefer", channel=channel)


async def _clock_set(stage: Stage) -> None:
    for provider in PROVIDERS:
        await stage.dial(provider, clock_ahead_s=None)


SCENARIOS: Final = (
    Scenario(
        "clock-skew",
        FAMILY,
        "Every provider's clock says that ours is a minute and a half ahead.",
        "ClockSkew",
        "warning",
        "ClockSkew",
        "the clock is set",
        _clock_ahead,
        _clock_set,
        late_s=_HEARD_S,
    ),
    Scenario(
        "disk-filling",
        FAMILY,
        "Of the data folder's volume 2 % are free, as the processes are told: no disk is filled for a drill.",
        "DiskFilling",
        "critical",
        "DiskFilling",
        "bellhouse pause --priority low; room is made; resume",
        _disk_fills,
        _disk_freed,
    ),
)

CRASHES: Final = (
    Scenario(
        "crash-loop",
        FAMILY,
        "The process that does the bulk of the work ends by SIGKILL every few seconds.",
        "ProcessRestarting",
        "warning",
        "CrashLoop",
        "what kills it is taken back, as a release would be",
        _crash_loop,
        _no_more_crashes,
    ),
)
"""Played behind all others: a process that is young would be taken for one that crashes."""
