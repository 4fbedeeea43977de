"""Renders Prometheus' own configuration: where Bellhouse's processes show their figures, in either mode."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from bellhouse.monitoring.timescale import scaled
from bellhouse.monitoring.yaml_text import document

Mode = Literal["embedded", "distributed"]
RULES: Final = "bellhouse.rules.yml"

_API_PORT: Final = 8080
_ROLE_PORT: Final = 9464
ROLES: Final = ("api", "relay", "router", "worker", "scheduler", "exporter", "all")
"""What a process of the distributed mode plays; the last one plays everything."""
_ON_API_PORT: Final = ("api", "all")
_EVERY: Final = "15s"

_COMMENT: Final = """\
Where Prometheus finds Bellhouse, its rules and Alertmanager: a start to be made one's own.
Made by `bellhouse monitoring prometheus`. A job's name begins with `bellhouse`: the rules go by it."""


def prometheus_file(
    mode: Mode = "embedded",
    hosts: Sequence[str] = (),
    alertmanager: str = "127.0.0.1:9093",
    rules: str = RULES,
    scale: float = 1.0,
) -> str:
    """The configuration's text; `hosts` are `host:port` in embedded mode, and `role=host` or `role=host:port` in the
    other. Raises ValueError for one that names no role.

    Embedded, one `/metrics` answers for all processes. Distributed, each process shows its own: the API on its port,
    every other role on `metrics_port`.
    """
    every = scaled(_EVERY, scale)
    return document(
        {
            "global": {"scrape_interval": every, "scrape_timeout": scaled("10s", scale), "evaluation_interval": every},
            "rule_files": [rules],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": list(_jobs(mode, hosts)),
        },
        _COMMENT,
    )


def _jobs(mode: Mode, hosts: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    match mode:
        case "embedded":
            yield _job("bellhouse", list(hosts) or [f"127.0.0.1:{_API_PORT}"])
        case "distributed":
            targets: dict[str, list[str]] = {}
            for host in hosts or [f"{role}=notification-{role}" for role in ROLES[:-1]]:
                role, target = _target(host)
                targets.setdefault(role, []).append(target)
            yield from (_job(f"bellhouse-{role}", targets[role]) for role in ROLES if role in targets)


def _target(host: str) -> tuple[str, str]:
    """A role, and where its process shows its figures: two roles on one host never share a port."""
    role, _, address = host.partition("=")
    if role not in ROLES or not address:
        raise ValueError(f"{host!r} names no role: write router=one.example or router=one.example:9465")
    port = _API_PORT if role in _ON_API_PORT else _ROLE_PORT
    return role, address if ":" in address else f"{address}:{port}"


def _job(name: str, targets: list[str]) -> Mapping[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": targets}]}
