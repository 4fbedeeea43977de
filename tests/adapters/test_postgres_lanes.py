"""Where a priority has a cluster of its own, one that is away holds up only what goes to it."""

from collections.abc import AsyncIterator, Sequence

import pytest
from tests.postgres_houses import House, Log, Street

from bellhouse.domain.words import Priority
from bellhouse.ports.log import PRIORITY_OF, LogUnavailable, Record, dead_letters_topic, notifications_topic
from bellhouse.ports.store.deliver import Claim, DeadLetter, Settlement
from bellhouse.testing.records import HOUR, NOON, open_claim, outcome, routed

FEED = dead_letters_topic("push")


class Clusters(Log):
    """A cluster for what is critical, and one for everything else, which may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.away: frozenset[Priority | None] = frozenset()

    async def append(self, records: Sequence[Record]) -> None:
        there = [record for record in records if PRIORITY_OF.get(record.topic) not in self.away]
        await super().append(there)
        if len(there) < len(records):
            raise LogUnavailable("unreachable", "wait")


@pytest.fixture
async def street(database_url: str) -> AsyncIterator[Street]:
    street = Street(database_url)
    street.log = Clusters()
    yield street
    await street.close()


@pytest.fixture
async def house(street: Street) -> House:
    return await street.house()


def _default_away(street: Street) -> None:
    assert isinstance(street.log, Clusters)
    street.log.away = frozenset({"high", "normal", "low", None})


async def _planned(street: Street, house: House, priority: Priority, count: int = 1) -> list[Claim]:
    before = len(street.log.records)
    items = await street.accepted(count, priority=priority)
    await house.route.decide([routed(item) for item in items], NOON, ())
    return [open_claim(record.value) for record in street.log.records[before:]]


async def _given_up(house: House, claims: Sequence[Claim]) -> None:
    letters = [DeadLetter(claim.delivery, claim.notification, "dead_lettered:no_provider", NOON) for claim in claims]
    outcomes = [outcome(claim, "dead_lettered", previous="waiting") for claim in claims]
    await house.deliver.settle(Settlement(outcomes, letters))


async def test_a_critical_dead_letter_whose_feed_is_away_holds_up_nothing_critical(
    street: Street, house: House
) -> None:
    claims = await _planned(street, house, "critical")
    await house.carried()
    await _given_up(house, claims)
    await street.accepted(3, priority="critical")
    _default_away(street)
    assert await house.outbox.relay("critical", 100) == 3
    assert await house.outbox.relay("critical", 100) == 0
    with pytest.raises(LogUnavailable):
        await house.outbox.relay("feed", 100)
    assert len(street.log.of(notifications_topic("critical"))) == 4, "each once"
    street.log.away = frozenset()  # type: ignore[attr-defined]  # these are Clusters
    assert await house.outbox.relay("feed", 100) == 1
    assert len(street.log.of(FEED)) == 1


async def test_the_feed_is_no_backlog_of_notifications(street: Street, house: House) -> None:
    claims = await _planned(street, house, "normal", 2)
    await house.carried()
    await _given_up(house, claims)
    assert await house.outbox.pending() == {}
    assert await house.outbox.relay("feed", 100) == 2


async def test_due_rows_of_one_cluster_leave_once_while_the_other_is_away(street: Street, house: House) -> None:
    for priority in ("critical", "normal", "critical"):
        await street.accepted(2, priority=priority, ready_at=NOON + HOUR)
    critical, others = house.due.of(["critical"]), house.due.of(["high", "normal", "low"])
    _default_away(street)
    assert await critical.release_due(NOON + HOUR, 3) == 3
    with pytest.raises(LogUnavailable):
        await others.release_due(NOON + HOUR, 100)
    assert await critical.release_due(NOON + HOUR, 100) == 1
    assert await critical.release_due(NOON + HOUR, 100) == 0
    assert await critical.next_due(NOON + HOUR) is None, "what waits for the other cluster is no reason to wake"
    assert len(street.log.records) == 4
    assert await house.due.overdue(NOON + HOUR) == {"normal": NOON + HOUR}
    street.log.away = frozenset()  # type: ignore[attr-defined]  # these are Clusters
    assert await others.release_due(NOON + HOUR, 100) == 2


async def test_a_row_that_comes_long_after_its_moment_is_found_though_not_at_once(street: Street, house: House) -> None:
    critical = house.due.of(["critical"])
    at = NOON + HOUR
    assert await critical.release_due(at, 10) == 0
    await street.accepted(priority="critical", ready_at=at - 9_999)
    await street.accepted(priority="critical", ready_at=at - 10_000)
    assert await critical.release_due(at + 1, 10) == 1
    assert await critical.release_due(at + 9_999, 10) == 0
    assert await critical.release_due(at + 10_000, 10) == 1


async def test_a_clock_that_is_set_back_hides_no_row(street: Street, house: House) -> None:
    critical = house.due.of(["critical"])
    assert await critical.release_due(NOON + 2 * HOUR, 10) == 0
    await street.accepted(priority="critical", ready_at=NOON + HOUR)
    assert await critical.release_due(NOON + HOUR, 10) == 1


async def test_what_is_parked_is_known_to_the_releaser_of_its_cluster(street: Street, house: House) -> None:
    for priority in ("critical", "low"):
        claims = await _planned(street, house, priority)  # type: ignore[arg-type]  # they are priorities
        parked = [outcome(claim, "waiting", previous="waiting", again_at=NOON + HOUR, park=True) for claim in claims]
        await house.deliver.settle(Settlement(parked))
    assert await house.due.parked() == [("push", "critical"), ("push", "low")]
    assert await house.due.of(["critical"]).parked() == [("push", "critical")]
    assert await house.due.of(["high", "normal", "low"]).parked() == [("push", "low")]
