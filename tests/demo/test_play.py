"""Playing a day: its pace, what must come of it, and what the caller writes down."""

import msgspec
import pytest

from bellhouse.adapters.clock import SystemClock
from bellhouse.demo.client import Client
from bellhouse.demo.day import generate
from bellhouse.demo.play import DAY_MS, Expected, Pace, Player, expected
from bellhouse.demo.script import Asked, Day, EventLine, RecipientLine, TypeLine, moment
from bellhouse.ports.provider import Response

AT = "2026-11-23T00:00:00Z"


def _day(*asked: Asked) -> Day:
    return Day(
        types=(TypeLine("t", {"priority": "normal"}), TypeLine("c", {"priority": "critical"})),
        templates=(),
        recipients=(RecipientLine("u", {}),),
        events=tuple(EventLine(AT, one) for one in asked),
    )


class _Api(Client):
    """Answers without a network."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bytes, bool]] = []

    async def ask(self, method: str, path: str, body: bytes = b"", *, repeatable: bool = True) -> Response:
        self.asked.append((path, body, repeatable))
        return self.answers.pop(0)


def _player(api: _Api, *asked: Asked) -> Player:
    return Player(_day(*asked), Pace(moment(AT), 0, 1), api, SystemClock())


def test_the_day_is_shrunk_in_proportion() -> None:
    pace = Pace(first=1_000, start=50_000, length_ms=60_000)
    assert pace.of(1_000) == 50_000
    assert pace.of(1_000 + DAY_MS // 2) == 80_000
    assert pace.of(1_000 + DAY_MS) == 110_000


def test_equal_moments_of_the_day_stay_equal_so_that_a_repeat_stays_a_repeat() -> None:
    pace = Pace(first=moment(AT), start=0, length_ms=60_000)
    assert pace.text("2026-11-23T12:00:00Z") == pace.text("2026-11-23T13:00:00+01:00") == "1970-01-01T00:00:30.000Z"


def test_what_must_come_of_a_day_is_counted_from_its_lines() -> None:
    day = _day(
        Asked("u", "t"),
        Asked("u", "t", idempotency_key="k"),
        Asked("u", "t", idempotency_key="k"),
        Asked("u", "t", {"other": 1}, idempotency_key="k"),
        Asked("stranger", "t"),
        Asked("u", "unheard_of"),
    )
    assert expected(day) == Expected(accepted=2, repeats=1, refused=3)


def test_every_event_of_a_generated_day_has_one_expectation() -> None:
    day = generate(seed=2, recipients=100, events=2_000)
    what = expected(day)
    assert what.accepted + what.repeats + what.refused == 2_000
    assert what.repeats >= 20
    assert what.refused >= 2


async def test_critical_events_go_singly_and_the_others_in_batches() -> None:
    api = _Api(
        Response(202, {}, b'{"id":"1"}'),
        Response(202, {}, b'{"results":[{"id":"2"},{"error":{"code":"validation_failed"}}]}'),
    )
    answers = await _player(api, Asked("u", "t"), Asked("u", "c"), Asked("u", "t")).play()
    assert [path for path, _, _ in api.asked] == ["/v1/notifications", "/v1/notifications/batch"]
    assert answers.ids == {"1", "2"}
    assert answers.refused == {"validation_failed": 1}
    assert answers.asked == 3


async def test_a_first_answer_that_comes_again_is_a_repeat() -> None:
    api = _Api(Response(202, {}, b'{"results":[{"id":"2"},{"id":"2"}]}'))
    answers = await _player(api, Asked("u", "t"), Asked("u", "t")).play()
    assert (answers.accepted, answers.repeats) == (1, 1)


@pytest.mark.parametrize(("key", "repeatable"), [("k", True), (None, False)])
async def test_only_what_has_a_key_is_asked_again_where_no_answer_came(key: str | None, repeatable: bool) -> None:
    api = _Api(Response(0, {}, b""))
    answers = await _player(api, Asked("u", "c", idempotency_key=key)).play()
    assert api.asked[0][2] is repeatable
    assert answers.unanswered == 1


async def test_moments_in_the_body_are_moved_with_the_day() -> None:
    api = _Api(Response(202, {}, b'{"results":[{"id":"2"}]}'))
    await _player(api, Asked("u", "t", send_at="2026-11-24T00:00:00Z")).play()
    assert msgspec.json.decode(api.asked[0][1])["notifications"][0]["send_at"] == "1970-01-01T00:00:00.001Z"


async def test_what_is_refused_for_now_is_sent_again_with_the_same_body() -> None:
    degraded = b'{"results":[{"error":{"code":"degraded","detail":"later"}},{"id":"1"}]}'
    api = _Api(Response(202, {}, degraded), Response(202, {}, b'{"results":[{"id":"2"}]}'))
    later = Asked("u", "t", idempotency_key="k", send_at="2026-11-24T00:00:00Z")
    answers = await _player(api, later, Asked("u", "t")).play()
    first, again = (msgspec.json.decode(body)["notifications"] for _, body, _ in api.asked)
    assert again == first[:1]
    assert answers.ids == {"1", "2"}
    assert (answers.asked, answers.refused) == (2, {})
