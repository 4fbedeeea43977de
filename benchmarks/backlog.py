"""What others that wait or are stored cost: CPU per notification beside them, and the memory of each process."""

import tempfile
from pathlib import Path

from bellhouse.domain.words import Priority
from benchmarks import procs
from benchmarks.cost import cost_of
from benchmarks.figures import Figure
from benchmarks.prefill import prefill
from benchmarks.stand import running

_FEW = 10_000
_DAY_MS = 86_400_000
_LOW: Priority = "low"


async def beside_others(many: int, count: int) -> list[Figure]:
    """The cost with `many` due in the future and with `many` stored, each against 10,000; and the memory."""
    future_few, _ = await _with_due(_FEW, count)
    future_many, memory = await _with_due(many, count)
    stored_few = await _with_stored(_FEW, count)
    stored_many = await _with_stored(many, count)
    names = f"{many:,} against {_FEW:,}"
    return [
        Figure(
            f"cost with {many:,} due in the future",
            future_many / future_few,
            "×",
            1.2,
            1.05,
            note=f"CPU per notification to `log` ({names}): {future_many:.0f} µs against {future_few:.0f}.",
        ),
        Figure(
            f"cost with {many:,} stored",
            stored_many / stored_few,
            "×",
            1.5,
            1.1,
            note=f"The same with others that have gone their whole way: {stored_many:.0f} µs against {stored_few:.0f}.",
        ),
        *(
            Figure(
                f"memory of {role} while {many:,} wait", size / 2**20, "MB", 250, 150, note="Resident, after the load."
            )
            for role, size in memory.items()
        ),
    ]


async def _with_due(others: int, count: int) -> tuple[float, dict[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        async with running(data, None):
            pass
        await prefill(data / "bellhouse.db", "bench_low", _LOW, others, due_in_ms=7 * _DAY_MS)
        async with running(data, None) as stand:
            cost = await cost_of(stand, "bench_push", count)
            memory = {role: procs.rss_bytes(pid) for role, pid in stand.house.roles().items()}
    return cost.us, memory


async def _with_stored(others: int, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        async with running(data, None):
            pass
        await prefill(data / "bellhouse.db", "bench_low", _LOW, others)
        async with running(data, None) as stand:
            await stand.until_ended(others, patience_s=1_200)
            cost = await cost_of(stand, "bench_push", count)
    return cost.us
