"""How much a tenant may send, and when nobody may: refused with a moment to come back."""

import math

from bellhouse.domain.ids import TenantNo
from bellhouse.ingest.steps import Steps
from bellhouse.ports.clock import Clock
from bellhouse.web.limits import Limits
from bellhouse.web.problems import Problem


class Gate:
    """Asked before anything is queued; raises the Problem that tells the caller to come back later."""

    def __init__(self, limits: Limits, steps: Steps, clock: Clock) -> None:
        self._rate = limits.tenant_rate_per_s
        self._burst = float(limits.tenant_burst)
        self._steps = steps
        self._clock = clock
        self._buckets: dict[TenantNo, tuple[float, float]] = {}

    def admit(self, tenant: TenantNo, count: int) -> None:
        """Take `count` from the tenant's bucket. A count above the burst is taken from a full bucket, on credit."""
        if self._steps.closed:
            raise self._steps.refusal_of_all()
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
