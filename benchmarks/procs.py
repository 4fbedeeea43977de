"""What processes have used, read from /proc: CPU time and memory."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CPUCLOCK_SCHED = 2  # linux/posix-timers.h: what the scheduler has counted, of all threads
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """CPU seconds since a process was started, all threads together, in user and kernel mode."""

    user_s: float
    system_s: float

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s


def cpu(pid: int) -> Used:
    """What the process has used until now, in steps of the kernel's tick (10 ms). Raises ProcessLookupError."""
    fields = _stat(pid)
    # The 14th and 15th fields of proc(5); the list begins with the third.
    return Used(int(fields[11]) * _TICK_S, int(fields[12]) * _TICK_S)


def rss_bytes(pid: int) -> int:
    """Its resident memory now."""
    return int(_stat(pid)[21]) * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Its children and theirs, in no particular order."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return [*own, *(grandchild for child in own for grandchild in children(child))]


def cpu_of(pids: Iterable[int]) -> float:
    """CPU seconds of all these processes, to the nanosecond; one that has ended counts nothing."""
    total = 0.0
    for pid in pids:
        with suppress(OSError):
            total += time.clock_gettime(_clock_of(pid))
    return total


def _clock_of(pid: int) -> int:
    """The number of a process's CPU clock, as clock_getcpuclockid(3) would answer it."""
    return ~pid << 3 | _CPUCLOCK_SCHED


def reaped_s(pid: int) -> float:
    """CPU seconds of the children that have ended and that it has waited for. Raises ProcessLookupError."""
    return (int(_stat(pid)[13]) + int(_stat(pid)[14])) * _TICK_S


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    # The name may hold spaces and brackets, so the fields begin behind the last one.
    return text.rpartition(")")[2].split()
