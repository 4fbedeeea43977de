"""The rate of a tenant as a bucket, on a clock moved by hand."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.domain.ids import TenantNo
from bellhouse.ingest.degrade import Waiting
from bellhouse.ingest.limits import Gate
from bellhouse.ingest.steps import Steps
from bellhouse.ports.telemetry import NullLogbook, NullTelemetry
from bellhouse.testing.clock import ManualClock
from bellhouse.web.limits import Limits
from bellhouse.web.problems import Problem

ONE, TWO = TenantNo(1), TenantNo(2)


def steps_of(limits: Limits, clock: ManualClock) -> Steps:
    return Steps(limits, clock, NullTelemetry(), NullLogbook())


def gate(clock: ManualClock, rate: float = 10, burst: int = 20) -> Gate:
    limits = Limits(tenant_rate_per_s=rate, tenant_burst=burst)
    return Gate(limits, steps_of(limits, clock), clock)


async def taken(limit: Gate, clock: ManualClock, steps: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """The moments and counts that were let in."""
    let_in = []
    for wait, count in steps:
        await clock.advance(wait)
        with suppress(Problem):
            limit.admit(ONE, count)
            let_in.append((clock.monotonic(), count))
    return let_in


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 60)), max_size=40))
def test_no_tenant_sends_more_than_its_burst_and_rate_and_one_request_on_credit(steps: list[tuple[float, int]]) -> None:
    clock = ManualClock()
    let_in = asyncio.run(taken(gate(clock), clock, steps))
    for start, (began, _) in enumerate(let_in):
        window = let_in[start:]
        sent = sum(count for _, count in window)
        largest = max(count for _, count in window)
        assert sent <= 20 + 10 * (window[-1][0] - began) + max(0, largest - 20) + 1e-6


async def test_after_the_named_wait_the_same_request_is_let_in() -> None:
    clock = ManualClock()
    limit = gate(clock)
    limit.admit(ONE, 20)
    with pytest.raises(Problem) as refused:
        limit.admit(ONE, 15)
    await clock.advance(int(dict(refused.value.headers)[b"retry-after"]))
    limit.admit(ONE, 15)


async def test_a_batch_larger_than_the_burst_is_let_in_when_the_bucket_is_full() -> None:
    clock = ManualClock()
    limit = gate(clock)
    limit.admit(ONE, 100)
    with pytest.raises(Problem):
        limit.admit(ONE, 1)
    await clock.advance(8.1)
    limit.admit(ONE, 1)


def test_tenants_do_not_share_a_bucket() -> None:
    limit = gate(ManualClock())
    limit.admit(ONE, 20)
    limit.admit(TWO, 20)
    with pytest.raises(Problem):
        limit.admit(ONE, 1)


async def test_nobody_is_let_in_while_the_step_is_closed() -> None:
    clock, limits = ManualClock(), Limits(backlog=10)
    steps = steps_of(limits, clock)
    limit = Gate(limits, steps, clock)
    limit.admit(ONE, 1)
    steps.look(Waiting(10), None)
    with pytest.raises(Problem, match="degraded"):
        limit.admit(ONE, 1)
    for _ in range(2):
        await clock.advance(5)
        steps.look(Waiting(0), None)
    limit.admit(ONE, 1)
