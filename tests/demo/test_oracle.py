"""The judge: each account is believed only as far as the other two bear it out."""

from collections.abc import Sequence

from bellhouse.demo.oracle import Receipt, judge, spread
from bellhouse.demo.records import Recorded, RecordedDelivery
from bellhouse.domain.ids import NotificationId, delivery_id, made_at, new_notification_ids, to_text
from bellhouse.domain.words import Channel, DeliveryState

ONE = new_notification_ids(1_000_000, 1)[0]


def _delivery(
    ordinal: int = 1,
    state: DeliveryState = "sent",
    reason: str = "sent:accepted",
    channel: Channel = "push",
    unknowns: int = 0,
    interrupted: bool = False,
) -> RecordedDelivery:
    return RecordedDelivery(
        id=to_text(delivery_id(NotificationId(ONE), ordinal)),
        channel=channel,
        state=state,
        reason=reason,
        provider="fcm",
        providers=("fcm",),
        calls=1,
        unknowns=unknowns,
        interrupted=interrupted,
        ready_at=made_at(ONE),
    )


def _records(*deliveries: RecordedDelivery, reasons: Sequence[str] = ()) -> dict[str, Recorded]:
    state = "planned" if deliveries else "suppressed"
    return {to_text(ONE): Recorded(to_text(ONE), "t", "high", state, tuple(reasons), deliveries)}


def _receipt(ordinal: int = 1, verdict: str = "accepted", at: str = "1970-01-01T00:16:40.250Z") -> Receipt:
    return Receipt(at, "fcm", verdict, to_text(delivery_id(NotificationId(ONE), ordinal)), 1)


def test_what_was_promised_planned_and_received_once_is_sound() -> None:
    verdict = judge({to_text(ONE)}, _records(_delivery()), [_receipt()])
    assert verdict.sound
    assert (verdict.promised, verdict.planned, verdict.received, verdict.duplicates) == (1, 1, 1, 0)
    assert verdict.latency_ms["high"].p50 == 250.0


def test_a_promise_that_the_store_does_not_know_is_a_loss() -> None:
    verdict = judge({to_text(ONE)}, {}, [])
    assert verdict.lost == {"promised and not stored": 1}
    assert verdict.examples == {"promised and not stored": [to_text(ONE)]}
    assert not verdict.sound


def test_a_delivery_called_sent_that_nobody_received_is_a_loss() -> None:
    verdict = judge({to_text(ONE)}, _records(_delivery(1), _delivery(2)), [_receipt(1), _receipt(2, "retry")])
    assert verdict.lost == {"called sent, and nobody received it": 1}


def test_what_nobody_received_is_counted_by_its_reason() -> None:
    records = _records(_delivery(1, "failed", "failed:token_invalid"), _delivery(2, "waiting", "waiting:quiet_hours"))
    verdict = judge({to_text(ONE)}, records, [_receipt(1, "token_invalid")])
    assert verdict.sound
    assert verdict.reasons == {"failed · failed:token_invalid": 1, "waiting · waiting:quiet_hours": 1}


def test_a_silent_end_is_a_loss() -> None:
    assert judge(set(), _records(_delivery(1, "failed", "")), []).lost == {"not sent and no reason": 1}
    assert judge({to_text(ONE)}, _records(), []).lost == {"not planned and no reason": 1}
    assert judge({to_text(ONE)}, _records(reasons=["suppressed:no_consent"]), []).sound


def test_an_in_app_message_needs_no_receipt_from_outside() -> None:
    verdict = judge({to_text(ONE)}, _records(_delivery(1, "delivered", channel="in_app")), [])
    assert verdict.sound
    assert verdict.in_app == 1


def test_a_second_copy_is_explained_by_an_unknown_outcome_and_by_nothing_else() -> None:
    twice = [_receipt(), _receipt(verdict="accepted_answer_lost")]
    explained = judge({to_text(ONE)}, _records(_delivery(unknowns=1)), twice)
    assert (explained.duplicates, explained.duplicates_unknown, explained.sound) == (1, 1, True)
    killed = judge({to_text(ONE)}, _records(_delivery(unknowns=1, interrupted=True)), twice)
    assert (killed.duplicates_killed, killed.sound) == (1, True)
    unexplained = judge({to_text(ONE)}, _records(_delivery()), twice)
    assert (unexplained.duplicates_unexplained, unexplained.sound) == (1, False)


def test_something_sent_that_was_never_planned_is_not_sound() -> None:
    verdict = judge({to_text(ONE)}, _records(_delivery(1)), [_receipt(1), _receipt(9)])
    assert verdict.unplanned == 1
    assert not verdict.sound


def test_a_spread_has_its_middle_and_its_worst() -> None:
    assert spread(range(1, 101)).p50 == 51
    assert spread(range(1, 101)).worst == 100
    assert spread([]).count == 0
