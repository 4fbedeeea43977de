"""Counts what a lane does, so that telemetry is told once a batch."""

from collections import defaultdict

from bellhouse.domain.attempt import STATUS_OF, AttemptStatus, VerdictName
from bellhouse.domain.ids import TenantNo
from bellhouse.domain.notification import Notification
from bellhouse.domain.words import Channel, Priority
from bellhouse.ports.telemetry import Telemetry


class Meter:
    """What has happened in a lane since telemetry was last told."""

    def __init__(self, channel: Channel, priority: Priority, telemetry: Telemetry) -> None:
        self._channel = channel
        self._priority = priority
        self._telemetry = telemetry
        self._clear()

    def _clear(self) -> None:
        self._answers: dict[tuple[str, str, VerdictName], int] = defaultdict(int)
        self._took: dict[str, list[float]] = defaultdict(list)
        self._costs: dict[tuple[str, str, TenantNo, str | None], float] = defaultdict(float)
        self._retries: dict[tuple[str, int], int] = defaultdict(int)
        self._letters: dict[str, int] = defaultdict(int)
        self._delivered: dict[str, int] = defaultdict(int)
        self._ends: list[float] = []
        self._expired = 0

    def answered(self, provider: str, code: str, verdict: VerdictName, seconds: float) -> None:
        self._answers[provider, code, verdict] += 1
        self._took[provider].append(seconds)

    def paid(self, provider: str, currency: str, amount: float, notification: Notification) -> None:
        if amount:
            self._costs[provider, currency, notification.tenant, notification.campaign] += amount

    def retried(self, provider: str, attempt: int) -> None:
        self._retries[provider, attempt] += 1

    def dead_lettered(self, reason: str) -> None:
        self._letters[reason] += 1

    def delivered(self, kind: str) -> None:
        self._delivered[kind] += 1

    def ended(self, seconds: float) -> None:
        """A delivery's way ended here: confirmed by its acceptance, or no receipt will come."""
        self._ends.append(seconds)

    def expired(self) -> None:
        self._expired += 1

    def tell(self) -> None:
        """Tell telemetry everything, and begin anew."""
        telemetry, channel = self._telemetry, self._channel
        sent: dict[tuple[str, AttemptStatus], int] = defaultdict(int)
        for (provider, code, verdict), count in self._answers.items():
            telemetry.provider_answered(provider, code, verdict, count)
            sent[provider, STATUS_OF[verdict]] += count
        for (provider, status), count in sent.items():
            telemetry.sent(channel, provider, status, count)
        for provider, seconds in self._took.items():
            telemetry.provider_took(provider, seconds)
            telemetry.delivery_took(channel, provider, seconds)
        for (provider, currency, tenant, campaign), amount in self._costs.items():
            telemetry.cost(channel, provider, currency, amount, tenant, campaign)
        for (provider, attempt), count in self._retries.items():
            telemetry.retried(channel, provider, attempt, count)
        for reason, count in self._letters.items():
            telemetry.dead_lettered(channel, reason, count)
        for kind, count in self._delivered.items():
            telemetry.delivered(channel, kind, count)
        if self._ends:
            telemetry.end_to_end(channel, self._priority, self._ends)
        if self._expired:
            telemetry.expired(channel, self._priority, self._expired)
        self._clear()
