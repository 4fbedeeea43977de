"""What follows from a verdict: the delivery's next state, its wait, and whom it concerns besides. Pure."""

from typing import Literal, assert_never

import msgspec

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
from bellhouse.domain.words import DeliveryState
from bellhouse.policy.reasons import ReasonCode
from bellhouse.ports.provider import Sheet

Effect = Literal["none", "retire", "suppress"]
Waits = Literal["no", "until", "outage"]


class Conclusion(msgspec.Struct, frozen=True, gc=False):
    """The end of one call."""

    state: DeliveryState
    reason: ReasonCode
    waits: Waits = "no"
    wait_ms: int = 0
    counts: bool = False
    """Whether it is one more of the attempts that are limited."""
    effect: Effect = "none"


class Circumstances(msgspec.Struct, frozen=True, gc=False):
    """What a conclusion depends on beside the verdict."""

    attempts: int
    """Failed attempts before this one."""
    sheet: Sheet
    retry: RetryPolicy
    luck: float
    """A random number from 0 up to 1, for jitter."""
    out: bool = False
    """Whether the provider is out by now: its breaker is not closed."""


ACCOUNT_FAULT_WAIT_MS = 30_000


def conclude(verdict: Verdict, case: Circumstances) -> Conclusion:
    """The conclusion from a verdict, when no other provider is left to ask at once."""
    match verdict:
        case Accepted(delivered=True):
            return Conclusion("delivered", "delivered:on_acceptance")
        case Accepted():
            return Conclusion("sent", "sent:accepted")
        case Retry() if case.out:
            # The outage failed, not the message: nothing is spent on it, though it may have been a probe.
            return Conclusion("waiting", "waiting:outage", "outage")
        case Retry(after_ms=after_ms):
            attempts = case.attempts + 1
            if case.retry.exhausted(attempts):
                return Conclusion("dead_lettered", "dead_lettered:attempts_exhausted", counts=True)
            wait = case.retry.wait_ms(attempts, case.luck, after_ms)
            return Conclusion("waiting", "waiting:retry", "until", wait, counts=True)
        case Throttled(after_ms=after_ms):
            # Those that were throttled together come back over as long again, not all at once.
            wait = after_ms + int(max(1_000, after_ms) * case.luck)
            return Conclusion("waiting", "waiting:throttled", "until", wait)
        case AccountFault():
            # The message is fine: it waits for a person to mend the account, or for the breaker to park it.
            wait = ACCOUNT_FAULT_WAIT_MS + int(ACCOUNT_FAULT_WAIT_MS * case.luck)
            return Conclusion("waiting", "waiting:outage", "until", wait)
        case Permanent(suppress=suppress):
            return Conclusion("failed", "failed:permanent", effect="suppress" if suppress else "none")
        case TokenInvalid():
            return Conclusion("failed", "failed:token_invalid", effect="retire")
        case Unknown():
            wait = int(case.sheet.unknown_wait_s * 1000)
            # It counts: each try that is not answered may be one more copy.
            return Conclusion("unknown", "unknown:no_answer", "until", wait, counts=True)
        case _:
            assert_never(verdict)


def asks_another(verdict: Verdict) -> bool:
    """Whether the next provider may be asked at once: the message is fine, and this provider did not take it."""
    return isinstance(verdict, Retry | AccountFault) or (isinstance(verdict, Throttled) and verdict.scope == "provider")


def reason_text(verdict: Verdict) -> str | None:
    """The provider's own words; None where it said nothing."""
    return None if isinstance(verdict, Accepted | Throttled) else verdict.reason
