"""What accepting over HTTP costs, beside an empty ASGI application: `ingest_http` in a process of its own."""

import asyncio
import json
import sys

from benchmarks.figures import Figure


async def doors(requests: int, batches: int) -> list[Figure]:
    """Single requests of 64 keep-alive clients, and batches of 1,000."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.ingest_http", "--json"),
        *("--requests", str(requests), "--batches", str(batches)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("benchmarks.ingest_http failed")
    found = {each["name"]: each for each in json.loads(output)}
    empty, single, batch = found["empty: single"], found["bellhouse: single"], found["bellhouse: batch of 1,000"]
    note = f"{requests:,} requests, each durable before its 202. The limit is an empty ASGI application."
    return [
        Figure(
            "single POST, 64 clients",
            single["per_second"],
            "/s",
            9_000,
            14_000,
            True,
            empty["per_second"],
            "/s empty ASGI",
            note,
        ),
        Figure("single POST, p99", single["p99_ms"], "ms", 40, 20, limit=empty["p99_ms"], limit_name="ms empty ASGI"),
        Figure("single POST, CPU", single["us"], "µs", 110, 70, limit=empty["us"], limit_name="µs empty ASGI"),
        Figure(
            "batch POST of 1,000",
            batch["per_second"],
            "/s",
            35_000,
            55_000,
            True,
            note=f"{batches} batches, 2 clients.",
        ),
        Figure("batch POST, CPU each", batch["us"], "µs", 25, 15),
    ]
