"""How many files a process may hold, and how many connections that leaves room for."""

import resource
from typing import Final

RESERVED: Final = 512
"""Files that are not callers' connections: the store's, and those to providers."""
_FEWEST: Final = 64


def raise_limit() -> None:
    """Take as many files as the hard limit allows: the soft one is for programs that use select(2), and often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_within(wanted: int) -> int:
    """How many of the wanted connections fit: what is beyond can be refused in words, a failing accept(2) cannot."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, max(_FEWEST, soft - RESERVED))
