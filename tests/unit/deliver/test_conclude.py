"""What follows from a verdict."""

import pytest

from bellhouse.deliver.conclude import Circumstances, Conclusion, conclude
from bellhouse.domain.attempt import (
    Accepted,
    AccountFault,
    Permanent,
    Retry,
    Throttled,
    TokenInvalid,
    Unknown,
    Verdict,
)
from bellhouse.domain.retry import RetryPolicy
from bellhouse.ports.provider import Sheet

SHEET = Sheet(name="fcm", channels=("push",), batch=1, price=0.0)


def case(attempts: int = 0, luck: float = 0.5, *, out: bool = False) -> Circumstances:
    return Circumstances(attempts, SHEET, RetryPolicy(1_000, 300_000, 3), luck, out)


@pytest.mark.parametrize(
    ("verdict", "state", "reason"),
    [
        (Accepted("m1"), "sent", "sent:accepted"),
        (Accepted(delivered=True), "delivered", "delivered:on_acceptance"),
        (Retry("500", "500"), "waiting", "waiting:retry"),
        (Throttled(1_000, "429"), "waiting", "waiting:throttled"),
        (AccountFault("no balance", "402"), "waiting", "waiting:outage"),
        (Permanent("too old", "400"), "failed", "failed:permanent"),
        (TokenInvalid("gone", "404"), "failed", "failed:token_invalid"),
        (Unknown("timeout", "timeout"), "unknown", "unknown:no_answer"),
    ],
)
def test_each_verdict_has_its_state(verdict: Verdict, state: str, reason: str) -> None:
    conclusion = conclude(verdict, case())
    assert (conclusion.state, conclusion.reason) == (state, reason)


def test_only_the_providers_fault_counts_as_an_attempt() -> None:
    others: list[Verdict] = [Throttled(1, "429"), AccountFault("x", "402"), Permanent("x", "x")]
    assert conclude(Retry("500", "500"), case()).counts
    assert conclude(Unknown("timeout", "timeout"), case()).counts
    assert not any(conclude(verdict, case()).counts for verdict in others)


def test_the_last_attempt_makes_a_dead_letter() -> None:
    assert conclude(Retry("500", "500"), case(attempts=1)).state == "waiting"
    assert conclude(Retry("500", "500"), case(attempts=2)).state == "dead_lettered"


def test_the_wait_that_the_provider_names_is_never_shortened() -> None:
    assert conclude(Retry("503", "503", after_ms=5_000), case(luck=0.0)).wait_ms == 5_000
    assert conclude(Throttled(5_000, "429"), case(luck=0.0)).wait_ms == 5_000


def test_an_outage_spends_no_attempt_and_makes_no_dead_letter() -> None:
    assert conclude(Retry("503", "503"), case(attempts=2, out=True)) == Conclusion(
        "waiting", "waiting:outage", "outage"
    )


def test_a_dead_token_is_retired_and_an_opt_out_suppressed() -> None:
    assert conclude(TokenInvalid("gone", "404"), case()).effect == "retire"
    assert conclude(Permanent("stop", "21610", suppress=True), case()).effect == "suppress"
    assert conclude(Permanent("bad", "400"), case()).effect == "none"
