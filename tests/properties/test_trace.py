"""A trace rebuilt from any story is one well-formed tree, the same each time it is rebuilt."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bellhouse.domain import trace
from bellhouse.domain.delivery import Detail
from bellhouse.domain.ids import DeliveryId, NotificationId, RecipientNo, TenantNo, delivery_id, new_notification_ids
from bellhouse.domain.notification import Decision, Notification, PlannedDelivery
from bellhouse.domain.trace import Span
from bellhouse.ops.trace import rebuild, span_of, trace_view
from bellhouse.ports.store.insights import Story, StoryEvent
from bellhouse.testing.records import NOON

IDS = [NotificationId(bytes(i)) for i in new_notification_ids(NOON, 50)]
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATES = st.sampled_from(["in_flight", "waiting", "unknown", "sent", "delivered", "failed", "dead_lettered", "expired"])


@st.composite
def _events(draw: st.DrawFn, delivery: DeliveryId) -> list[StoryEvent]:
    events, at, call = [], NOON + 30, 0
    for n in range(draw(st.integers(0, 6))):
        at += draw(st.integers(0, 10_000))
        called = draw(st.booleans())
        call += called
        detail = Detail(
            reason="waiting:retry",
            provider=draw(st.sampled_from(["fcm", "twilio"])) if called else None,
            attempt=call if called else 0,
            verdict=draw(st.sampled_from(["accepted", "retry", "permanent"])) if called else None,
            duration_ms=draw(st.floats(0, 20_000)) if called else 0.0,
        )
        events.append(StoryEvent(delivery, "worker", n, draw(STATES), at, msgspec.msgpack.encode(detail)))
    for number in draw(st.lists(st.integers(1, 1 << 62), max_size=3, unique=True)):
        told = Detail(
            provider="fcm", attempt=draw(st.integers(1, 4)), news=draw(st.sampled_from(["delivered", "failed"]))
        )
        when = NOON + draw(st.integers(-5_000, 50_000))
        events.append(StoryEvent(delivery, "news", number, "delivered", when, msgspec.msgpack.encode(told)))
    return events


@st.composite
def stories(draw: st.DrawFn) -> Story:
    identifier = draw(st.sampled_from(IDS))
    context = draw(st.sampled_from([None, CALLER, trace.own_context(identifier).text]))
    note = Notification(
        identifier,
        TenantNo(1),
        RecipientNo(2),
        "ada",
        "order",
        "high",
        b"{}",
        NOON,
        NOON + 1,
        NOON,
        traceparent=context,
    )
    if draw(st.booleans()):
        return Story(note, None, [], {})
    channels = draw(st.lists(st.sampled_from(["push", "email", "in_app"]), max_size=3))
    plans = tuple(PlannedDelivery(i + 1, channel, "c") for i, channel in enumerate(channels))
    decision = Decision("planned" if plans else "suppressed", NOON + 20, plans)
    events = [event for plan in plans for event in draw(_events(delivery_id(identifier, plan.ordinal)))]
    return Story(note, decision, events, {})


def _by_id(spans: list[Span]) -> dict[bytes, Span]:
    return {span.id: span for span in spans}


@given(stories())
def test_a_rebuilt_trace_is_one_tree(story: Story) -> None:
    spans = rebuild(story)
    known = _by_id(spans)
    assert len(known) == len(spans), "two spans of one id"
    assert {span.trace_id for span in spans} == {trace.trace_of(story.notification.id, story.notification.traceparent)}
    roots = [span for span in spans if span.parent not in known]
    assert [root.name for root in roots] == ["receive_notification"]
    for span in spans:
        assert span.end >= span.start
        assert len(span.id) == 8
        assert any(span.id)
        assert all(link.span_id in known for link in span.links)


@given(stories())
def test_calls_lie_within_their_delivery_and_news_comes_after_the_call_it_is_about(story: Story) -> None:
    spans = rebuild(story)
    known = _by_id(spans)
    for span in spans:
        if span.name.startswith("send_to_"):
            parent = known[span.parent or b""]
            assert parent.name == "deliver"
            assert parent.start <= span.start
            assert span.end <= parent.end
        if span.name == "callback":
            assert all(span.start >= known[link.span_id].end for link in span.links)


@given(stories())
def test_it_is_rebuilt_the_same_each_time_and_from_what_the_api_answers_too(story: Story) -> None:
    spans, again = rebuild(story), rebuild(story)
    assert spans == again
    answer = trace_view(story)
    exported = [span_of(answer.trace_id, view) for view in answer.spans]
    assert [(s.id, s.parent, s.name, s.service) for s in exported] == [
        (s.id, s.parent, s.name, s.service) for s in spans
    ]


@given(st.binary(min_size=16, max_size=16).filter(any), st.binary(min_size=8, max_size=8).filter(any), st.booleans())
def test_a_context_is_read_as_it_was_written(trace_id: bytes, parent: bytes, sampled: bool) -> None:
    context = trace.Context(trace_id, parent, sampled)
    assert trace.parse(context.text) == context
    assert trace.is_sampled(context.text) is sampled
    assert trace.id_of(context.text) == trace_id.hex()


@given(st.text(max_size=80))
def test_what_is_no_context_is_none(text: str) -> None:
    context = trace.parse(text)
    assert context is None or text.startswith(context.text[:53])


@given(st.sampled_from(IDS), st.floats(0, 1), st.floats(0, 1))
def test_who_is_sampled_at_one_ratio_is_sampled_at_every_higher_one(
    i: NotificationId, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert trace.takes(i, high) or not trace.takes(i, low)


def test_about_the_share_is_sampled_that_was_asked_for() -> None:
    taken = sum(trace.takes(i, 0.25) for i in new_notification_ids(NOON, 4_000))
    assert 800 < taken < 1_200
    assert all(trace.takes(i, 1.0) for i in IDS)
    assert not any(trace.takes(i, 0.0) for i in IDS)


def test_longer_contexts_of_later_versions_are_read_and_what_the_standard_forbids_is_not() -> None:
    later = "01" + CALLER[2:]
    assert trace.parse(later + "-more") == trace.parse(CALLER)
    for wrong in (
        CALLER + "-more", "ff" + CALLER[2:], CALLER.upper(), CALLER[:-1], CALLER.replace("-", "_"),
        f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    ):  # fmt: skip
        assert trace.parse(wrong) is None, wrong
