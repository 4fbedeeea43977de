"""What each role of the distributed mode is made of."""

from typing import Any

import pytest

from bellhouse.app.distributed import Stage, build
from bellhouse.app.listening import listen
from bellhouse.app.roles import DistributedRole, Play
from bellhouse.app.settings import load
from bellhouse.domain.words import Priority
from bellhouse.ports.service import Service
from bellhouse.ports.telemetry import NullLogbook
from bellhouse.testing.clock import ManualClock

ENGINES = {
    "KAFKA_BROKERS": "kafka-1:9092",
    "BELLHOUSE_STORE__URL": "postgresql://bell@db-1/bellhouse",
    "BELLHOUSE_SECRET": "s" * 32,
}
BESIDE = {
    "BELLHOUSE_KAFKA__LANES__CRITICAL__BROKERS": "quick-1:9092",
    "BELLHOUSE_KAFKA__LANES__HIGH__BROKERS": "quick-1:9092",
    "BELLHOUSE_KAFKA__LANES__LOW__BROKERS": "bulk-1:9092",
}


def services(role: DistributedRole, beside: dict[str, str], **words: Any) -> list[Service]:
    """The services of a process; nothing is connected."""
    settings = load(environment=ENGINES | beside).settings
    with listen("127.0.0.1", 0) as listener:
        return list(build(Stage(Play(role, **words), settings, b"p", ManualClock(), NullLogbook(), listener, "1")))


def names(role: DistributedRole, beside: dict[str, str], what: str, **words: Any) -> list[str]:
    return sorted(service.name for service in services(role, beside, **words) if service.name.startswith(what))


@pytest.mark.parametrize("what", ["due", "parked"])
async def test_what_waits_is_brought_back_by_one_for_each_cluster(what: str) -> None:
    assert names("scheduler", {}, what) == [what]
    assert names("scheduler", BESIDE, what) == [f"{what}-critical-high", f"{what}-low", f"{what}-normal"]


@pytest.mark.parametrize("priorities", [("critical",), ("high", "normal", "low")])
async def test_every_process_that_relays_carries_the_feed_of_dead_letters(priorities: tuple[Priority, ...]) -> None:
    carried = names("relay", BESIDE, "relay", priorities=priorities)
    assert carried == sorted(f"relay-{lane}" for lane in (*priorities, "feed"))


@pytest.mark.parametrize("role", ["api", "relay", "router", "worker", "scheduler", "exporter", "all"])
async def test_the_services_of_a_role_have_names_of_their_own(role: DistributedRole) -> None:
    found = [service.name for service in services(role, BESIDE)]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("role", ["relay", "scheduler", "all"])
async def test_where_one_process_does_all_what_carries_into_the_log_holds_no_connection_of_the_others(
    role: DistributedRole,
) -> None:
    opened = [service.name for service in services(role, {}) if service.name.startswith("store")]
    assert opened == (["store", "store-critical", "store-carrier"] if role == "all" else ["store"])
