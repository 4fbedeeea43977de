"""Who is called in a tour, and what is said of it."""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from bellhouse.drills.pager import pager


def alert(status: str, name: str = "AllProvidersDown") -> dict[str, Any]:
    annotations = {"summary": "No provider", "diagnosis": "bellhouse doctor x", "runbook_url": "docs/runbooks/x.md"}
    return {"status": status, "labels": {"alertname": name}, "annotations": annotations}


def call(url: str, body: bytes) -> int:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
        status: int = answer.status
        return status


async def told(*alerts: dict[str, Any]) -> list[str]:
    said: list[str] = []
    async with pager(said.append) as url:
        body = json.dumps({"alerts": alerts}).encode()
        assert await asyncio.to_thread(call, f"{url}/pager", body) == 200
    return said


async def test_what_fires_is_told_with_its_command_and_its_runbook() -> None:
    first, second = await told(alert("firing"))
    assert "[pager] FIRING AllProvidersDown: No provider" in first
    assert "bellhouse doctor x" in second
    assert "docs/runbooks/x.md" in second


async def test_what_is_resolved_is_told_in_a_line_and_the_watchdog_not_at_all() -> None:
    (line,) = await told(alert("resolved"), alert("firing", "Watchdog"))
    assert "[pager] resolved AllProvidersDown" in line


async def test_what_is_no_such_call_is_not_answered_and_ends_nothing() -> None:
    said: list[str] = []
    async with pager(said.append) as url:
        with pytest.raises((urllib.error.URLError, OSError)):
            await asyncio.to_thread(call, f"{url}/pager", b"no JSON")
        assert await asyncio.to_thread(call, f"{url}/chat", json.dumps({"alerts": [alert("firing")]}).encode()) == 200
    assert "[chat]" in said[0]
