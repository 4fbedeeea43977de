"""What the doctor knows: values that were collected, with nothing concluded from them yet."""

from collections.abc import Mapping
from typing import Literal

import msgspec

Stage = Literal["route", "deliver", "due"]


class Group(msgspec.Struct, frozen=True):
    """Rows of the store that have the same words, counted; a word that does not tell them apart is empty."""

    count: int
    first_at: str = ""
    last_at: str = ""
    tenant: str = ""
    type: str = ""
    priority: str = ""
    channel: str = ""
    provider: str = ""
    verdict: str = ""
    reason: str = ""
    code: str = ""
    template: str = ""
    template_version: int = 0
    worst_ms: float = 0.0


class BreakerFacts(msgspec.Struct, frozen=True):
    """A breaker; `forced` is what an operator wants of it."""

    provider: str
    channel: str
    state: str = "closed"
    forced: str = "none"
    failures: int = 0
    changed_at: str = ""
    reason: str = ""
    """Why it left `closed`, where that is not failures: `silent`."""


class ProviderFacts(msgspec.Struct, frozen=True):
    """A provider, over all its channels. Counts are those of the window, and of the store's newest rows."""

    name: str
    verdicts: Mapping[str, float] = {}
    """Calls by what their answer meant: of the window where there were any, otherwise of the newest rows."""
    codes: Mapping[str, float] = {}
    """The same calls by the code on the wire, or the provider's own."""
    statuses: Mapping[str, float] = {}
    """Settled attempts of the window by `status`."""
    p95_s: float | None = None
    """95th percentile of its answers' time within the window."""
    slowest_s: float = 0.0
    """Its longest call among the newest rows."""
    callbacks: float = 0.0
    """Events of callbacks that were applied within the window."""
    silence_s: float = 0.0
    balance: float | None = None
    balance_low: float | None = None
    tested: str = ""
    """The verdict of a test call, where one was asked for; empty where not."""
    tested_words: str = ""
    status_page: str = ""

    @property
    def calls(self) -> float:
        return sum(self.verdicts.values())

    def share(self, *verdicts: str) -> float:
        """The share of its calls with these verdicts; 0 where it was not called."""
        return sum(self.verdicts.get(one, 0.0) for one in verdicts) / self.calls if self.calls else 0.0


class ProcessFacts(msgspec.Struct, frozen=True):
    """A process, by its role."""

    role: str
    seen_s: float | None = None
    """How long ago it last showed its figures."""
    age_s: float | None = None
    """How long ago it began."""
    restarts: float = 0.0
    """Starts within `Facts.restarts_s`."""
    alive: bool | None = None
    """Whether its process exists, where that can be seen from here."""
    step: int = 0
    """The step of degraded mode that it stands on."""
    skew_s: float | None = None
    disk_free: float | None = None
    disk_size: float | None = None


class DependencyFacts(msgspec.Struct, frozen=True):
    """What a process stands on: store, log or cache."""

    name: str
    up: bool
    role: str = ""
    words: str = ""


class LaneFacts(msgspec.Struct, frozen=True):
    """A topic: how much waits in it, and whether that became less within the window."""

    topic: str
    lag: float
    lag_before: float | None = None

    @property
    def priority(self) -> str:
        return self.topic.rpartition(".")[2]

    @property
    def channel(self) -> str:
        """Of a delivery topic; empty for the router's."""
        parts = self.topic.split(".")
        return parts[1] if len(parts) == 3 else ""


class PendingFacts(msgspec.Struct, frozen=True):
    """How long the oldest that may leave has waited, by stage and priority."""

    stage: str
    priority: str
    oldest_s: float


class LeverFacts(msgspec.Struct, frozen=True):
    """A lever that is pulled."""

    kind: str
    """`pause`, `prefer`, `rate`, `breaker`."""
    words: str
    """What it holds, as the server says it."""
    channel: str = ""
    priority: str = ""
    tenant: str = ""
    type: str = ""
    template: str = ""
    campaign: str = ""
    provider: str = ""
    rate: float | None = None
    by: str = ""
    why: str = ""
    since: str = ""


class ServerFacts(msgspec.Struct, frozen=True):
    """The API as it was found."""

    asked: bool = False
    url: str = ""
    answers: bool = True
    error: str = ""
    """Why it does not."""
    ready: bool | None = None
    checks: Mapping[str, str] = {}
    """The checks of `/readyz`: the empty text where one is simply well."""
    failed: tuple[str, ...] = ()
    """The checks that do not hold."""
    supervisor_alive: bool | None = None
    """Whether anything serves the data folder, where that can be seen from here."""
    refused: str = ""
    """Why the API did not let us ask more than health."""


class LogFacts(msgspec.Struct, frozen=True):
    """A log file, read."""

    lines: int = 0
    messages: Mapping[str, int] = {}
    """Known messages, counted."""
    details: Mapping[str, str] = {}
    """The last words of each: its topic, error or reason."""
    failed_attempts: Mapping[str, int] = {}
    """"Delivery attempted" that failed: by `provider: error`."""


class Facts(msgspec.Struct, frozen=True):
    """Everything that was collected."""

    at: float = 0.0
    """Seconds since the epoch, by the clock of whoever asks."""
    window_s: float = 0.0
    restarts_s: float = 0.0
    """Over what time starts of processes are counted: the window or, with Prometheus, a quarter of an hour."""
    metrics: bool = False
    """Whether any metrics could be read."""
    dead_targets: tuple[str, ...] = ()
    """Metrics' addresses that nothing answers at."""
    hung_targets: tuple[str, ...] = ()
    """Those where a process is, and says nothing."""
    server: ServerFacts = ServerFacts()
    providers: tuple[ProviderFacts, ...] = ()
    breakers: tuple[BreakerFacts, ...] = ()
    processes: tuple[ProcessFacts, ...] = ()
    dependencies: tuple[DependencyFacts, ...] = ()
    lanes: tuple[LaneFacts, ...] = ()
    pending: tuple[PendingFacts, ...] = ()
    sent: Mapping[str, float] = {}
    """Attempts settled within the window, by channel."""
    routed: Mapping[str, float] = {}
    """Deliveries planned within the window, by priority."""
    received: Mapping[str, float] = {}
    """Notifications asked for within the window, by priority."""
    rejected: Mapping[str, float] = {}
    """Refused at the door within the window, by reason."""
    letters_grown: Mapping[str, float] = {}
    """Dead letters made within the window, by reason."""
    unreadable: Mapping[str, float] = {}
    """Records skipped within the window, because nobody can read or decide them, by topic."""
    letters_open: Mapping[str, float] = {}
    """Open dead letters, by channel."""
    levers: tuple[LeverFacts, ...] = ()
    attempts: tuple[Group, ...] = ()
    failures: tuple[Group, ...] = ()
    waits: tuple[Group, ...] = ()
    arrivals: tuple[Group, ...] = ()
    letters: tuple[Group, ...] = ()
    undecidable: int = 0
    imbalance: float = 0.0
    ledger_age_s: float | None = None
    """How long ago the ledger was last checked; None where nobody says."""
    broken_checks: tuple[str, ...] = ()
    """The ledger's equations that do not hold, in words."""
    gauge_ages: Mapping[str, float] = {}
    """How long ago (s) the exporter last read each of its gauges."""
    partitions_ahead_days: float | None = None
    probes: Mapping[str, float] = {}
    """Synthetic probes of the window, by `channel outcome`."""
    folder_free: float | None = None
    folder_size: float | None = None
    """The volume of the data folder, where it is on this machine."""
    log: LogFacts | None = None
    gaps: tuple[str, ...] = ()
    """What could not be asked, and why."""

    def provider(self, name: str) -> ProviderFacts:
        """A provider's facts; empty ones where nothing is known of it."""
        return next((one for one in self.providers if one.name == name), ProviderFacts(name))

    def channels_of(self, provider: str) -> list[str]:
        """The channels on which a provider has a breaker."""
        return [one.channel for one in self.breakers if one.provider == provider]
