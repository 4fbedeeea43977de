"""The dead letters of the day: looked at, sent again once their cause is healed, and followed to their end."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bellhouse.demo.books import Books
from bellhouse.demo.client import Client
from bellhouse.demo.report import DeadLetters
from bellhouse.demo.settle import until_still
from bellhouse.demo.watch import Watch
from bellhouse.ports.clock import Clock
from bellhouse.simulator.client import SimulatorClient

_PAGE: Final = 1_000
_RATE: Final = 500
_SHOWN: Final = 3
_ARRIVED: Final = frozenset({"sent", "delivered"})


class _Page(msgspec.Struct, frozen=True):
    dead_letters: list[dict[str, Any]]
    next: str | None = None


class _Done(msgspec.Struct, frozen=True):
    done: int
    more: bool


async def replay_all(client: Client, watch: Watch, outside: SimulatorClient, books: Books, clock: Clock) -> DeadLetters:
    """Replay every open dead letter through the API and wait for what becomes of it."""
    letters = await _all(client)
    replayed = 0
    more = bool(letters)
    while more:
        answer = await client.post("/v1/dead-letters/replay", {"filter": {}, "rate": _RATE}, _Done)
        replayed += answer.done
        more = answer.more
    if letters:
        await until_still(watch, outside, books, clock)
    states = await _states(books, letters) if letters else Counter()
    return DeadLetters(
        found=len(letters),
        by_reason=dict(Counter(_cause(letter) for letter in letters).most_common()),
        replayed=replayed,
        sent=sum(count for state, count in states.items() if state in _ARRIVED),
        left={state: count for state, count in states.items() if state not in _ARRIVED},
        examples=letters[:_SHOWN],
    )


async def _all(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await client.get(f"/v1/dead-letters?limit={_PAGE}{cursor}", _Page)
        found += page.dead_letters
        if page.next is None:
            return found
        cursor = f"&cursor={page.next}"


def _cause(letter: Mapping[str, Any]) -> str:
    return f"{letter['channel']} · {letter['provider']} {letter['code']} · {letter['reason']}"


async def _states(books: Books, letters: list[dict[str, Any]]) -> Counter[str]:
    wanted = {letter["id"] for letter in letters}
    recorded = await books.read()
    return Counter(one.state for each in recorded.values() for one in each.deliveries if one.id in wanted)
