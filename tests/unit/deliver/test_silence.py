"""A provider that accepts and never confirms is left alone where that helps, and comes back when it is heard."""

from collections.abc import Mapping

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bellhouse.deliver.breaker import SILENT_WAITS, Breaker, BreakerSettings
from bellhouse.deliver.silence import SilenceSettings, Watched, changes, silence_ms
from bellhouse.domain.words import Channel
from bellhouse.ports.provider import Sheet
from bellhouse.ports.store.providers import BreakerRow, Sign

NOON = 1_795_000_000_000
RULE = SilenceSettings(accepted=20, silent_ms=900_000)
LATER = NOON + RULE.silent_ms

TWILIO = Sheet("twilio", ("sms",), 100, 0.01, confirms=True)
VONAGE = Sheet("vonage", ("sms",), 100, 0.01, confirms=True)
SENDGRID = Sheet("sendgrid", ("email",), 100, 0.0, confirms=True)
FCM = Sheet("fcm", ("push",), 100, 0.0, confirms=True, confirmed_by="device")
LOG = Sheet("log", ("sms",), 100, 0.0, any_contact=True)
BOTH = {"sms": (TWILIO, VONAGE), "email": (SENDGRID,)}
SILENT = Sign(NOON - 1, 20, NOON)
"""Heard once, and 20 messages ago."""


def said(
    signs: Mapping[str, Sign],
    rows: Mapping[tuple[str, Channel], BreakerRow] | None = None,
    order: Mapping[Channel, tuple[Sheet, ...]] = BOTH,  # type: ignore[assignment]  # its keys are channels
    now: int = LATER,
) -> dict[str, str]:
    """The new states of the breakers that change."""
    found = changes(Watched(order, signs, rows or {}), now, RULE)
    return {change.row.provider: change.row.state for change in found}


OPEN = {("twilio", "sms"): BreakerRow("twilio", "sms", "open", changed_at=NOON, version=3, reason="silent")}


def test_it_opens_when_enough_was_accepted_and_nothing_heard_for_long_enough() -> None:
    assert said({"twilio": SILENT}) == {"twilio": "open"}
    assert said({"twilio": SILENT}, now=LATER - 1) == {}
    assert said({"twilio": Sign(NOON - 1, 19, NOON)}) == {}


def test_one_that_was_never_heard_stays_since_its_callbacks_may_not_find_us() -> None:
    never = Sign(0, 1_000, NOON)
    assert said({"twilio": never}) == {}
    assert silence_ms(TWILIO, never, LATER, RULE) == RULE.silent_ms, "the alert is told all the same"


def test_one_that_nobody_can_stand_in_for_stays() -> None:
    assert said({"twilio": SILENT}, order={"sms": (TWILIO,)}) == {}
    assert said({"twilio": SILENT}, order={"sms": (TWILIO, LOG)}) == {}
    assert said({"twilio": SILENT}, {("vonage", "sms"): BreakerRow("vonage", "sms", "open")}) == {}


def test_it_closes_when_its_stand_in_fails() -> None:
    rows = {**OPEN, ("vonage", "sms"): BreakerRow("vonage", "sms", "open", changed_at=NOON)}
    assert said({"twilio": SILENT}, rows) == {"twilio": "closed"}


def test_where_all_are_silent_it_is_our_own_door_and_none_is_left_alone() -> None:
    assert said({"twilio": SILENT, "sendgrid": SILENT}) == {}
    assert said({"twilio": SILENT, "vonage": SILENT}) == {}
    assert said({"twilio": SILENT, "vonage": SILENT}, OPEN) == {"twilio": "closed"}


def test_somebody_who_was_heard_since_proves_that_our_door_is_open() -> None:
    assert said({"twilio": SILENT, "sendgrid": SILENT, "vonage": Sign(NOON + 1)}) == {"twilio": "open"}


def test_it_closes_when_it_is_heard() -> None:
    assert said({"twilio": Sign(LATER)}, OPEN) == {"twilio": "closed"}
    half = {key: msgspec.structs.replace(row, state="half_open") for key, row in OPEN.items()}
    assert said({"twilio": Sign(LATER)}, half) == {"twilio": "closed"}
    assert said({"twilio": SILENT}, half) == {}, "a probe that is under way changes nothing"


def test_what_an_operator_forces_is_left_as_it_is() -> None:
    for forced in ("open", "closed"):
        rows = {("twilio", "sms"): BreakerRow("twilio", "sms", forced, forced)}
        assert said({"twilio": SILENT}, rows) == {}


def test_one_that_is_open_since_it_fails_is_no_business_of_the_rule() -> None:
    failing = {("twilio", "sms"): BreakerRow("twilio", "sms", "open")}
    assert said({"twilio": Sign(LATER)}, failing) == {}
    assert said({"twilio": SILENT}, failing) == {}


def test_where_devices_confirm_nobody_is_silent_before_any_has() -> None:
    assert silence_ms(FCM, Sign(0, 1_000, NOON), LATER, RULE) == 0
    assert silence_ms(FCM, Sign(1, 1_000, NOON), LATER, RULE) == RULE.silent_ms


def test_a_rule_that_is_switched_off_closes_what_it_had_opened() -> None:
    off = SilenceSettings(silent_ms=0)
    (change,) = changes(Watched(BOTH, {"twilio": SILENT}, OPEN), LATER, off)  # type: ignore[arg-type]  # as above
    assert change.row.state == "closed"


SIGNS = st.builds(
    Sign,
    st.sampled_from([0, NOON - 5, NOON + 5]),
    st.integers(0, 40),
    st.sampled_from([NOON - 10, NOON, NOON + 900_000]),
)


@given(st.dictionaries(st.sampled_from(["twilio", "vonage", "sendgrid"]), SIGNS))
@settings(deadline=None)
def test_the_same_facts_change_nothing_twice_and_never_take_a_channels_last_provider(signs: dict[str, Sign]) -> None:
    rows: dict[tuple[str, Channel], BreakerRow] = {}
    for _ in range(2):
        for change in changes(Watched(BOTH, signs, rows), LATER, RULE):  # type: ignore[arg-type]  # as above
            rows[change.row.provider, change.row.channel] = change.row
    assert not list(changes(Watched(BOTH, signs, rows), LATER, RULE))  # type: ignore[arg-type]  # as above
    assert ("sendgrid", "email") not in rows
    assert sum(row.state == "open" for row in rows.values()) <= 1


class Trickle(RuleBasedStateMachine):
    """A silent provider's breaker in a worker: whatever its probes say, only the rule closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.probes = 0
        self.opened_at = NOON
        self.breaker = Breaker("twilio", "sms", BreakerSettings(open_ms=30_000))
        self.breaker.restore(OPEN["twilio", "sms"])

    @rule(seconds=st.integers(1, 400))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @rule(accepted=st.booleans())
    def it_may_probe(self, accepted: bool) -> None:
        if self.breaker.allow(self.now) == "probe":
            self.probes += 1
            self.breaker.record([accepted], self.now)

    @precondition(lambda self: self.breaker.state != "closed")
    @rule()
    def it_answers_late(self) -> None:
        self.breaker.succeeded(self.now)

    @invariant()
    def it_stays_open_and_probes_by_a_trickle(self) -> None:
        assert self.breaker.state != "closed"
        assert self.breaker.reason == "silent"
        assert self.probes <= (self.now - self.opened_at) // (30_000 * SILENT_WAITS)


TestTrickle = Trickle.TestCase


def test_a_breaker_that_the_rule_closes_goes_on_as_before() -> None:
    breaker = Breaker("twilio", "sms")
    breaker.restore(OPEN["twilio", "sms"])
    assert breaker.allow(NOON + 30_000) == "no"
    breaker.restore(BreakerRow("twilio", "sms", "closed", changed_at=LATER, version=4))
    assert breaker.allow(LATER) == "yes"
    breaker.failed(LATER, 5)
    assert (breaker.state, breaker.reason) == ("open", "failures")
    assert breaker.allow(LATER + 30_000) == "probe"
