"""What a role of the distributed mode needs of the settings, beyond their being right."""

from bellhouse.app.settings import Fault, Settings, where_to_set


def distributed_faults(settings: Settings) -> list[Fault]:
    """What the settings lack for any role of the distributed mode; a fault that is not fatal is a warning."""
    faults = []
    if settings.store.url is None:
        faults.append(_lack("store.url", "is needed: the roles of several processes meet in PostgreSQL"))
    if not settings.kafka.brokers:
        faults.append(_lack("kafka.brokers", "is needed: records travel between the roles through Kafka"))
    if settings.secret is None:
        reason = "is unset, so each host makes one of its own, and the store refuses all hosts but the first"
        faults.append(_lack("secret", reason, fatal=False))
    if settings.redis.lanes.critical.url is not None:
        reason = "serves nothing: critical counts no recipient, and goes on without Redis while that of all is away"
        faults.append(Fault("redis.lanes.critical.url", reason, None, "Leave [redis.lanes.critical] out", False))
    return faults


def _lack(setting: str, reason: str, fatal: bool = True) -> Fault:
    return Fault(setting, reason, None, where_to_set(setting), fatal)
