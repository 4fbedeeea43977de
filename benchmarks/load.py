"""Sends notifications as fast as they are taken: bodies made beforehand, a few batches at once."""

import asyncio
import itertools
from collections.abc import Sequence

import msgspec

from bellhouse.demo.client import Client
from benchmarks.stand import PEOPLE

BATCH = 1_000
_AT_ONCE = 3
_NUMBER = itertools.count()


class _Answer(msgspec.Struct, frozen=True):
    results: list[dict[str, object]]


def notification(kind: str) -> dict[str, object]:
    """One notification with some 300 bytes of data and a key of its own, for one recipient after another."""
    number = next(_NUMBER)
    return {
        "user_id": f"user-{number * 7_919 % PEOPLE:06d}",
        "type": kind,
        "data": {
            "order": f"A-{number:07d}",
            "eta": "2026-11-25T10:00:00Z",
            "items": [{"name": "Blue shoes", "qty": 1, "price": 99.5}, {"name": "Socks", "qty": 3, "price": 4.25}],
            "address": "12 Some Street, Springfield, somewhere",
            "note": "please leave it with the neighbour, not on the porch",
        },
        "idempotency_key": f"bench-{number:012d}",
    }


def bodies(kind: str, count: int, **more: object) -> list[bytes]:
    """Bodies of batches that ask for `count` notifications altogether."""
    made = []
    for start in range(0, count, BATCH):
        items = [{**notification(kind), **more} for _ in range(min(BATCH, count - start))]
        made.append(msgspec.json.encode({"notifications": items}))
    return made


async def send(client: Client, made: Sequence[bytes]) -> list[str]:
    """Post all batches; answers the ids. Raises RuntimeError for an item that was not taken."""
    ids: list[str] = []
    gate = asyncio.Semaphore(_AT_ONCE)

    async def post(body: bytes) -> None:
        async with gate:
            answer = await client.call("POST", "/v1/notifications/batch", body)
        for result in msgspec.json.decode(answer.body, type=_Answer).results:
            if "id" not in result:
                raise RuntimeError(f"a notification was refused: {result}")
            ids.append(str(result["id"]))

    async with asyncio.TaskGroup() as group:
        for body in made:
            group.create_task(post(body))
    return ids


async def singles(client: Client, kind: str, count: int, every_s: float) -> list[str]:
    """Post one notification after another at a pace; answers the ids."""
    ids = []
    for _ in range(count):
        answer = await client.post("/v1/notifications", notification(kind), dict[str, str])
        ids.append(answer["id"])
        await asyncio.sleep(every_s)
    return ids
