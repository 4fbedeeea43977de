"""Whose newest rows the doctor goes by: not those of a provider that stands by while others carry its channel."""

from typing import Any

import pytest

from bellhouse.ops.doctor.diagnose import diagnose
from bellhouse.ops.doctor.facts import BreakerFacts, Facts, ProviderFacts
from bellhouse.ops.doctor.readings import with_store

ROW = {"count": 40, "provider": "vonage", "channel": "sms", "verdict": "throttled", "code": "200 1"}


def answer(**fields: Any) -> dict[str, Any]:
    """`GET /v1/diagnosis` with rows of attempts, and nothing else."""
    lists = ("failures", "waits", "arrivals", "letters")
    return {"attempts": [{**ROW, **fields}], **dict.fromkeys(lists, ()), "undecidable": 0}


def facts(twilio: ProviderFacts, state: str = "closed") -> Facts:
    breakers = (BreakerFacts("twilio", "sms"), BreakerFacts("vonage", "sms", state))
    return Facts(metrics=True, window_s=5, providers=(twilio,), breakers=breakers)


BUSY = ProviderFacts("twilio", {"accepted": 50.0})
IDLE = ProviderFacts("twilio")


def test_a_provider_that_stands_by_is_not_judged_by_what_it_answered_once() -> None:
    names = [cause.name for cause in diagnose(with_store(facts(BUSY), answer())).causes]
    assert "ProviderThrottling" not in names


@pytest.mark.parametrize("known", [facts(IDLE), facts(BUSY, "open")])
def test_one_that_nobody_stands_in_for_and_one_that_is_left_alone_are(known: Facts) -> None:
    names = [cause.name for cause in diagnose(with_store(known, answer())).causes]
    assert "ProviderThrottling" in names
