"""The roles of the distributed mode: which there are, and what belongs to each."""

from typing import Final, Literal, get_args

import msgspec

from bellhouse.domain.words import CHANNELS, PRIORITIES, Channel, Priority
from bellhouse.ports.log import PRIORITY_OF, TOPICS, deliveries_topic, notifications_topic

DistributedRole = Literal["api", "relay", "router", "worker", "scheduler", "exporter", "all"]
ROLES: Final[tuple[DistributedRole, ...]] = get_args(DistributedRole)

MEANING: Final[dict[DistributedRole, str]] = {
    "api": "answers callers and providers' callbacks",
    "relay": "carries the outbox into the log",
    "router": "decides who gets what, where and when",
    "worker": "delivers",
    "scheduler": "brings back what waits in its time, and looks after the store",
    "exporter": "counts what all processes share, and checks the ledger",
    "all": "everything in one process",
}


class Play(msgspec.Struct, frozen=True):
    """What one process plays."""

    role: DistributedRole
    channels: tuple[Channel, ...] = CHANNELS
    """Of a worker."""
    priorities: tuple[Priority, ...] = PRIORITIES
    """Of a relay, router or worker."""

    def plays(self, role: DistributedRole) -> bool:
        """Whether a role's work is done here."""
        return self.role in (role, "all")

    @property
    def service(self) -> str:
        """What logs and traces call it: `push-worker` where it serves one channel."""
        match self.role:
            case "worker" if len(self.channels) == 1:
                return f"{self.channels[0].replace('_', '-')}-worker"
            case "all":
                return "notification-platform"
            case role:
                return f"notification-{role}"

    @property
    def label(self) -> str:
        """The `role` of its metrics, which tells it from the others of its host."""
        parts: list[str] = [self.role]
        if self.role == "worker" and len(self.channels) < len(CHANNELS):
            parts += self.channels
        if self.role in ("relay", "router", "worker") and len(self.priorities) < len(PRIORITIES):
            parts += self.priorities
        return "-".join(parts).replace("_", "-")

    @property
    def lanes(self) -> tuple[str, ...]:
        """The topics that it reads."""
        routed = [notifications_topic(p) for p in self.priorities] if self.plays("router") else []
        delivered = [deliveries_topic(c, p) for c in self.channels for p in self.priorities]
        return (*routed, *(delivered if self.plays("worker") else []))

    @property
    def topics(self) -> tuple[str, ...]:
        """Those without which it cannot work: of its priorities. The feeds of dead letters are not among them."""
        return tuple(topic for topic in TOPICS if PRIORITY_OF[topic] in self.priorities)
