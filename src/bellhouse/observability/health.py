"""Whether this process is alive, and whether it is ready: named checks and their reasons, put together."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

Status = Literal["ready", "degraded", "not_ready"]

_BADNESS: Final[dict[Status, int]] = {"ready": 0, "degraded": 1, "not_ready": 2}


class Finding(msgspec.Struct, frozen=True):
    """What a check found; `reason` says in words why it is not simply ready."""

    status: Status
    reason: str = ""


class CheckResult(msgspec.Struct, frozen=True):
    """A finding under the name of its check."""

    name: str
    status: Status
    reason: str


class Readiness(msgspec.Struct, frozen=True):
    """The body of `/readyz`: as bad as the worst of the checks."""

    status: Status
    checks: tuple[CheckResult, ...]

    @property
    def http_status(self) -> int:
        """200 while work can be taken, degraded or not; 503 keeps a load balancer away."""
        return 503 if self.status == "not_ready" else 200


class Liveness(msgspec.Struct, frozen=True):
    """The body of `/healthz`: whoever can answer is alive. It asks nothing else, or an outage would restart us."""

    status: Literal["alive"] = "alive"


Check = Callable[[], Finding]
"""Answers at once from what is known already: it waits for nothing and touches no disk."""

READY: Final = Finding("ready")


class Health:
    """The checks of a process. One that raises is not ready, by the name of its error and nothing more."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def register(self, name: str, check: Check) -> None:
        """Add a check. Raises ValueError if the name is taken."""
        if name in self._checks:
            raise ValueError(f"a check named {name!r} is registered already")
        self._checks[name] = check

    def live(self) -> Liveness:
        return Liveness()

    def ready(self) -> Readiness:
        """Run every check, in the order of their registration. Without any, the process is ready."""
        results = tuple(_result(name, check) for name, check in self._checks.items())
        worst = max((result.status for result in results), key=_BADNESS.__getitem__, default=READY.status)
        return Readiness(worst, results)


def _result(name: str, check: Check) -> CheckResult:
    try:
        finding = check()
    except Exception as error:
        return CheckResult(name, "not_ready", f"the check failed: {type(error).__name__}")
    return CheckResult(name, finding.status, finding.reason)
