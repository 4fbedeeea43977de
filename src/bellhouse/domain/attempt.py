"""The verdicts of one call of one provider: values that the worker matches, all of them."""

from typing import Literal

import msgspec

VerdictName = Literal["accepted", "retry", "throttled", "permanent", "token_invalid", "account_fault", "unknown"]
AttemptStatus = Literal["success", "failed", "throttled", "unknown"]
"""The `status` label of `notifications_sent_total`."""


class Accepted(msgspec.Struct, frozen=True, tag="accepted", gc=False):
    """The provider took it. `delivered` where acceptance is already arrival (an in-app item in the store)."""

    message_id: str | None = None
    delivered: bool = False
    price: float | None = None
    """What this attempt really cost, where the provider says so; None takes the capability sheet's price."""
    code: str = "200"


class Retry(msgspec.Struct, frozen=True, tag="retry", gc=False):
    """The provider's fault, and nothing was sent: it counts as an attempt. `after_ms` where it named a wait."""

    reason: str
    code: str
    after_ms: int | None = None


class Throttled(msgspec.Struct, frozen=True, tag="throttled", gc=False):
    """Too fast: not a failure. `after_ms` from now; `scope` says for whom."""

    after_ms: int
    code: str
    scope: Literal["provider", "contact"] = "provider"


class Permanent(msgspec.Struct, frozen=True, tag="permanent", gc=False):
    """This message will never be taken. `suppress`: the recipient has opted out at the provider (SMS STOP)."""

    reason: str
    code: str
    suppress: bool = False


class TokenInvalid(msgspec.Struct, frozen=True, tag="token_invalid", gc=False):
    """The contact point is dead: retire it."""

    reason: str
    code: str


class AccountFault(msgspec.Struct, frozen=True, tag="account_fault", gc=False):
    """Our credentials, registration or balance: fail over and page a person, never punish the recipient."""

    reason: str
    code: str


class Unknown(msgspec.Struct, frozen=True, tag="unknown", gc=False):
    """The request left and no answer came: it may have been sent."""

    reason: str
    code: str


Verdict = Accepted | Retry | Throttled | Permanent | TokenInvalid | AccountFault | Unknown


def name_of(verdict: Verdict) -> VerdictName:
    """The word for a verdict, as in `provider_verdicts_total`."""
    name: VerdictName = verdict.__struct_config__.tag  # type: ignore[assignment]  # the tags above are these words
    return name


STATUS_OF: dict[VerdictName, AttemptStatus] = {
    "accepted": "success",
    "retry": "failed",
    "throttled": "throttled",
    "permanent": "failed",
    "token_invalid": "failed",
    "account_fault": "failed",
    "unknown": "unknown",
}
