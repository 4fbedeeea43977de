"""A provider: somebody outside who takes messages and, later, says what became of them.

A provider has no memory and asks no policy: it turns our content into its wire format, calls, and reads the
answer into one of our verdicts. Retry, breaker, limits and failover belong to the worker.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from bellhouse.domain.attempt import Accepted, Permanent, Verdict
from bellhouse.domain.content import Content
from bellhouse.domain.delivery import NewsKind
from bellhouse.domain.ids import DeliveryId
from bellhouse.domain.words import Channel, Priority


class Sheet(msgspec.Struct, frozen=True):
    """What a provider can do and what it costs."""

    name: str
    channels: tuple[Channel, ...]
    batch: int
    """How many messages one `send` takes at the most."""
    price: float
    """What one accepted message costs, in `currency`, where the answer does not say."""
    currency: str = "USD"
    rate_per_second: float | None = None
    """The provider's own documented limit; None where it has none worth keeping."""
    timeout_s: float = 10.0
    """How long one call may take before its outcome is unknown."""
    confirms: bool = False
    """Whether callbacks report what became of a message; without them `sent` is the last word."""
    confirmed_by: Literal["provider", "device"] = "provider"
    """Who sends them: the provider itself, or the app on the recipient's device, where it knows how to."""
    unknown_wait_s: float = 5.0
    """How long an unknown outcome waits for a callback before the policy decides."""
    status_page: str | None = None
    any_contact: bool = False
    """Whether it takes contact points that name other providers: only one that sends nothing does."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One delivery, rendered, for one provider."""

    delivery_id: DeliveryId
    attempt: int
    """1 for the first call."""
    channel: Channel
    priority: Priority
    address: str
    content: Content
    ttl_s: int
    """How long it is worth keeping for an unreachable device, in seconds."""
    collapse_key: str | None = None
    data: Mapping[str, str] = {}
    """Small strings that travel to the device beside the content."""
    recipient: int = 0
    tenant: int = 0
    type: str = ""
    """The notification's type."""


Report = Callable[[int, Verdict, float], None]
"""Called once for each message of a batch: its index, the verdict, and the call's duration in seconds."""


class Provider(Protocol):
    """One provider account.

    `send` reports every message of its batch exactly once, as soon as its verdict is known, in any order, on the
    event loop; it returns when all are reported, and raises nothing for what the provider or the network did:
    that is a verdict. If it is cancelled, what was not reported is unknown.
    """

    @property
    def sheet(self) -> Sheet: ...

    def check(self, message: Message) -> Permanent | None:
        """Why this message could never be taken (too large, no address), before anything is sent."""
        ...

    async def send(self, batch: Sequence[Message], report: Report) -> None: ...

    async def start(self) -> None:
        """Make connections and credentials ready; may be called before the event loop serves anything else."""
        ...

    async def stop(self) -> None:
        """Close what was opened. Calling it twice is lawful."""
        ...


@runtime_checkable
class Answers(Protocol):
    """A provider that can be asked afterwards whether it took a message."""

    async def lookup(self, message: Message) -> Accepted | None:
        """What became of the call whose answer never came; None where nothing is known still. Raises nothing."""
        ...


@runtime_checkable
class HasBalance(Protocol):
    """A provider that can be asked what money is left in its account."""

    @property
    def sheet(self) -> Sheet: ...

    async def balance(self) -> float | None:
        """The money left, in the account's currency; None where it does not say. Raises nothing."""
        ...


TrialOf = Literal["credentials", "dry_call", "connection", "balance"]
"""What a trial proves: that our credentials are taken; that a message would be; that the other side answers."""


class Trial(msgspec.Struct, frozen=True):
    """One call of a provider that sends nothing to anybody."""

    of: TrialOf
    verdict: Verdict
    """Accepted: it works."""
    seconds: float
    said: str = ""
    """What the answer says besides, such as a balance."""


@runtime_checkable
class Tries(Protocol):
    """A provider that can be tried without sending anything to anybody."""

    async def try_out(self) -> Sequence[Trial]:
        """Try the account with calls that send nothing, each with its verdict; a trial that cannot work since one
        before it failed is left out. Raises nothing."""
        ...


class CallbackRequest(msgspec.Struct, frozen=True):
    """An HTTP callback as it came in, before anything was parsed: signatures cover the raw bytes."""

    method: str
    url: str
    """As the provider called it, with the query: public scheme and host, not the proxy's."""
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    now: int


NewsEffect = Literal["none", "suppress", "opt_out", "retire"]
"""What a callback does to the address: nothing, the suppression list (hard bounce, complaint), an opt-out (STOP),
or the end of the contact point."""


class News(msgspec.Struct, frozen=True, gc=False):
    """One event of a callback, in our words."""

    event_id: str
    """The same for a repeat of the same news."""
    kind: NewsKind | None
    """None where the event says nothing about the delivery's state (an inbound STOP, an open)."""
    at: int
    delivery_id: DeliveryId | None = None
    attempt: int = 1
    code: str | None = None
    reason: str | None = None
    effect: NewsEffect = "none"
    address: str | None = None
    price: float | None = None


class CallbackRefused(Exception):
    """A callback whose signature, timestamp or form is not the provider's: answer 401 or 400 and count it."""

    def __init__(self, reason: str, status: int = 401) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class CallbackReader(Protocol):
    """Verifies a provider's callback and reads it into news."""

    def read(self, request: CallbackRequest) -> list[News]:
        """All news of one callback. Raises CallbackRefused; unlisted events are left out, not errors."""
        ...


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request of a provider."""

    method: str
    path: str
    """Path and query, below the transport's base URL."""
    headers: Mapping[str, str]
    body: bytes


class Response(msgspec.Struct, frozen=True, gc=False):
    """The answer to a request."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes


class NotSent(msgspec.Struct, frozen=True, gc=False):
    """Nothing left the machine: DNS, connect, TLS, pool; or the peer states that it processed nothing."""

    reason: str
    code: str = "connect"


class NoAnswer(msgspec.Struct, frozen=True, gc=False):
    """The request left, at least in part, and no answer came: its outcome is unknown."""

    reason: str
    code: str = "timeout"


Exchange = Response | NotSent | NoAnswer


class Transport(Protocol):
    """HTTP to one base URL, batch-first: requests in, answers out, so that the client can be exchanged.

    `exchange` calls `report(index, outcome, seconds)` once per request as soon as it is known, and returns when all
    are; it raises nothing for what the network did. A request is written at most once.
    """

    async def exchange(
        self, requests: Sequence[Request], report: Callable[[int, Exchange, float], None], timeout_s: float
    ) -> None: ...

    async def close(self) -> None: ...


JsonObject = dict[str, Any]
