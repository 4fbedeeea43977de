"""What every BreakerStore must do, whatever keeps the breakers: one suite, run on each adapter.

A test class inherits BreakerSuite and provides the fixture `house`: an object with `breakers`, a store that has none
yet and of which `fcm` and `twilio` are providers, and `beside`, the same store as another process would see it.
"""

import asyncio
from typing import Any

from bellhouse.ports.store.providers import BreakerRow

NOON = 1_795_003_200_123
OPEN = BreakerRow("fcm", "push", "open", changed_at=NOON, failures=5, version=1)


class BreakerSuite:
    """The conformance suite of the BreakerStore port."""

    async def test_what_never_changed_is_absent(self, house: Any) -> None:
        assert list(await house.breakers.breakers()) == []

    async def test_a_change_is_seen_by_every_process_as_it_was_made(self, house: Any) -> None:
        probed = BreakerRow("fcm", "push", "half_open", "none", NOON + 30_000, 7, "worker-1", 2)
        assert await house.breakers.change_breaker(OPEN, 0)
        assert list(await house.breakers.breakers()) == [OPEN]
        assert list(await house.beside.breakers()) == [OPEN]
        assert await house.beside.change_breaker(probed, 1)
        assert list(await house.breakers.breakers()) == [probed]
        assert list(await house.beside.breakers()) == [probed]

    async def test_breakers_of_other_channels_and_providers_are_left_alone(self, house: Any) -> None:
        rows = [
            OPEN,
            BreakerRow("twilio", "sms", "open", changed_at=NOON, version=1),
            BreakerRow("twilio", "chat", "closed", changed_at=NOON, version=1),
        ]
        for row in rows:
            assert await house.breakers.change_breaker(row, 0)
        again = BreakerRow("twilio", "sms", "closed", changed_at=NOON + 1, version=2)
        assert await house.beside.change_breaker(again, 1)
        assert _by_name(await house.breakers.breakers()) == _by_name([rows[0], again, rows[2]])

    async def test_a_change_of_what_has_changed_meanwhile_is_refused_and_changes_nothing(self, house: Any) -> None:
        closed = BreakerRow("fcm", "push", "closed", changed_at=NOON + 1, version=2)
        late = BreakerRow("fcm", "push", "half_open", changed_at=NOON + 2, probe_owner="late", version=2)
        assert await house.breakers.change_breaker(OPEN, 0)
        assert list(await house.beside.breakers()) == [OPEN]
        assert await house.breakers.change_breaker(closed, 1)
        assert not await house.beside.change_breaker(late, 1)
        assert not await house.beside.change_breaker(OPEN, 0)
        assert list(await house.beside.breakers()) == [closed]
        assert list(await house.breakers.breakers()) == [closed]

    async def test_a_change_of_what_is_not_there_is_refused(self, house: Any) -> None:
        assert not await house.breakers.change_breaker(BreakerRow("fcm", "push", "open", version=8), 7)
        assert list(await house.beside.breakers()) == []

    async def test_who_was_refused_succeeds_after_he_has_looked(self, house: Any) -> None:
        assert await house.breakers.change_breaker(OPEN, 0)
        assert not await house.beside.change_breaker(OPEN, 0)
        (found,) = await house.beside.breakers()
        assert found == OPEN
        closed = BreakerRow("fcm", "push", "closed", changed_at=NOON + 1, version=found.version + 1)
        assert await house.beside.change_breaker(closed, found.version)

    async def test_of_many_that_want_the_probe_at_once_one_gets_it(self, house: Any) -> None:
        assert await house.breakers.change_breaker(OPEN, 0)
        assert list(await house.beside.breakers()) == [OPEN]
        claims = [
            BreakerRow("fcm", "push", "half_open", changed_at=NOON + 1, probe_owner=f"worker-{n}", version=2)
            for n in range(20)
        ]
        stores = [house.breakers, house.beside] * 10
        won = await asyncio.gather(
            *(store.change_breaker(claim, 1) for store, claim in zip(stores, claims, strict=True))
        )
        assert sum(won) == 1
        assert list(await house.breakers.breakers()) == [claims[won.index(True)]]
        assert list(await house.beside.breakers()) == [claims[won.index(True)]]

    async def test_what_an_operator_forces_and_takes_back_is_seen_by_every_process(self, house: Any) -> None:
        assert list(await house.breakers.breakers()) == []
        forced = BreakerRow("fcm", "push", "open", "open", NOON, version=1)
        assert await house.beside.change_breaker(forced, 0)
        assert list(await house.breakers.breakers()) == [forced]
        taken_back = BreakerRow("fcm", "push", "closed", "none", NOON + 1, version=2)
        assert await house.breakers.change_breaker(taken_back, 1)
        assert list(await house.beside.breakers()) == [taken_back]


def _by_name(rows: Any) -> list[BreakerRow]:
    return sorted(rows, key=lambda row: (row.provider, row.channel))
