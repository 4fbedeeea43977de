"""Whether the process is alive and ready, and its metrics: what machines ask, without a key."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from bellhouse.web.problems import Problem


class Check(msgspec.Struct, frozen=True):
    """One thing that must be so before requests can be served."""

    name: str
    ok: bool
    detail: str = ""


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Ready(msgspec.Struct, frozen=True):
    """Every check holds."""

    status: str
    checks: list[Check]


Readiness = Callable[[], Awaitable[Sequence[Check]]]
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def ready(readiness: Readiness) -> Ready:
    """Every check with its result. Raises Problem, which names those that fail."""
    checks = list(await readiness())
    failed = "; ".join(f"{check.name}: {check.detail}" for check in checks if not check.ok)
    if failed:
        raise Problem("not_ready", failed, retry_after_s=5)
    return Ready("ready", checks)
