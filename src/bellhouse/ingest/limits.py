"""How much a tenant may send, and when nobody may: rate and backlog, refused with a moment to come back."""

import math
from collections.abc import Callable
from typing import Final

from bellhouse.domain.ids import TenantNo
from bellhouse.ports.clock import Clock
from bellhouse.ports.telemetry import Telemetry
from bellhouse.web.limits import Limits
from bellhouse.web.problems import Problem

_BACKLOG_RETRY_S: Final = 10


class Gate:
    """Asked before anything is queued; raises the Problem that tells the caller to come back later."""

    def __init__(self, limits: Limits, backlog: Callable[[], int], clock: Clock, telemetry: Telemetry) -> None:
        self._rate = limits.tenant_rate_per_s
        self._burst = float(limits.tenant_burst)
        self._backlog_limit = limits.backlog
        self._backlog = backlog
        self._clock = clock
        self._telemetry = telemetry
        self._buckets: dict[TenantNo, tuple[float, float]] = {}
        self._protecting = False

    def admit(self, tenant: TenantNo, count: int) -> None:
        """Take `count` from the tenant's bucket. A count above the burst is taken from a full bucket, on credit."""
        self._protect()
        now = self._clock.monotonic()
        tokens, since = self._buckets.get(tenant, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        wanted = min(float(count), self._burst)
        if tokens < wanted:
            self._buckets[tenant] = (tokens, now)
            wait = max(1, math.ceil((wanted - tokens) / self._rate))
            detail = f"The tenant may send {self._rate:,.0f} notifications a second."
            raise Problem("rate_limited", detail, retry_after_s=wait)
        self._buckets[tenant] = (tokens - count, now)

    def _protect(self) -> None:
        waiting = self._backlog()
        full = waiting >= self._backlog_limit
        if full != self._protecting:
            self._protecting = full
            self._telemetry.degraded(int(full))
        if full:
            raise Problem("backlog_full", f"{waiting:,} notifications wait.", retry_after_s=_BACKLOG_RETRY_S)
