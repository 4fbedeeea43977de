"""Latency as the outside world saw it: from a notification's receipt, which its id carries, to a provider's receipt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bellhouse.domain.ids import from_text, made_at


@dataclass(frozen=True)
class Spread:
    """A distribution in a few numbers; milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    worst: float


def spread(values: Iterable[float]) -> Spread:
    """The distribution of these values; all zeros for none."""
    ordered = sorted(values)
    if not ordered:
        return Spread(0, 0.0, 0.0, 0.0, 0.0)
    return Spread(len(ordered), *(quantile(ordered, share) for share in (0.5, 0.9, 0.99)), ordered[-1])


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of these ascending values do not exceed."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def first_acceptances(receipts: Iterable[Mapping[str, object]]) -> dict[str, int]:
    """For each accepted notification's id the moment (ms since the epoch) of its first acceptance."""
    first: dict[str, int] = {}
    for receipt in receipts:
        notification = receipt["notification_id"]
        if notification and str(receipt["verdict"]).startswith("accepted"):
            at = round(datetime.fromisoformat(str(receipt["at"])).timestamp() * 1000)
            first[str(notification)] = min(first.get(str(notification), at), at)
    return first


def waits(accepted: Mapping[str, int], notifications: Iterable[str] | None = None) -> list[int]:
    """Milliseconds from receipt to first acceptance, for these notifications or for all."""
    wanted = accepted.keys() if notifications is None else notifications
    return [accepted[one] - made_at(from_text(one)) for one in wanted if one in accepted]
