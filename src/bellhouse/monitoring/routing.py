"""Renders Alertmanager's configuration: who is told what, what is told together, and what is not told twice."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from bellhouse.monitoring.timescale import scaled
from bellhouse.monitoring.yaml_text import document

Escalation = Literal["alertmanager", "pagerduty"]
"""Who calls the secondary on-call: Alertmanager after a quarter of an hour, or PagerDuty's escalation policy."""

PAGER: Final = "pager"
SECONDARY: Final = "pager-secondary"
CHAT: Final = "chat"
NOWHERE: Final = "nowhere"
DEAD_MAN: Final = "dead-mans-switch"

_COMMENT: Final = """\
Who is told of Bellhouse's alerts. Made by `bellhouse monitoring alertmanager`; a test keeps deploy/monitoring equal.
Secrets are files: a PagerDuty integration key each, and the chat's webhook address."""


class Routing(msgspec.Struct, frozen=True):
    """Where alerts go, and how fast."""

    secrets: str = "/etc/alertmanager/secrets"
    """The folder with `pagerduty-primary`, `pagerduty-secondary` and `chat-webhook`."""
    chat: str = "#bellhouse"
    """The chat's channel."""
    dead_man: str = "http://127.0.0.1:9095/watchdog"
    """Who is called every minute, and raises the alarm when he no longer is."""
    escalation: Escalation = "alertmanager"
    scale: float = 1.0
    webhook: str | None = None
    """Where every receiver calls instead, each below this address by its name: for drills and tests."""


IN_EARNEST: Final = Routing()


def alertmanager_file(routing: Routing = IN_EARNEST) -> str:
    """The configuration's text."""
    return document(
        {
            "route": _route(routing),
            "inhibit_rules": list(_inhibitions()),
            "receivers": [_receiver(name, routing) for name in _names(routing)],
        },
        _COMMENT,
    )


def _names(routing: Routing) -> Iterator[str]:
    yield from (NOWHERE, PAGER)
    if routing.escalation == "alertmanager":
        yield SECONDARY
    yield from (CHAT, DEAD_MAN)


def _route(routing: Routing) -> Mapping[str, Any]:
    def times(wait: str, interval: str, repeat: str) -> Mapping[str, str]:
        found = {"group_wait": wait, "group_interval": interval, "repeat_interval": repeat}
        return {name: value if value == "0s" else scaled(value, routing.scale) for name, value in found.items()}

    critical = ['severity="critical"']
    routes: list[Mapping[str, Any]] = [
        {"matchers": ['alertname="Watchdog"'], "receiver": DEAD_MAN, "group_by": ["alertname"],
         **times("0s", "1m", "1m")},
    ]  # fmt: skip
    if routing.escalation == "alertmanager":
        # What still fires after a quarter of an hour, and that nobody has silenced, is told to the next one too.
        routes.append({"matchers": critical, "receiver": SECONDARY, "continue": True, **times("15m", "15m", "4h")})
    routes += [
        {"matchers": critical, "receiver": PAGER, **times("10s", "1m", "1h")},
        {"matchers": ['severity="warning"'], "receiver": CHAT, **times("30s", "5m", "12h")},
    ]
    return {"receiver": NOWHERE, "group_by": ["channel"], **times("30s", "5m", "4h"), "routes": routes}


def _inhibitions() -> Iterator[Mapping[str, Any]]:
    """What says less than something that fires already.

    `equal` also holds where neither alert has the label: so the source of a rule about channels must have one.
    """
    yield {
        "source_matchers": ['alertname="AllProvidersDown"'],
        "target_matchers": ['alertname="ProviderCircuitOpen"'],
        "equal": ["channel"],
    }
    for name, same in (
        ("ProviderBalanceLow", ["provider"]),
        ("DependencyDown", ["dependency"]),
        ("DiskFilling", ["role", "instance"]),
        ("PartitionsMissing", []),
        ("GaugesStale", []),
    ):
        yield {
            "source_matchers": [f'alertname="{name}"', 'severity="critical"'],
            "target_matchers": [f'alertname="{name}"', 'severity="warning"'],
            **({"equal": same} if same else {}),
        }
    yield {
        "source_matchers": ['alertname=~"SloBurn.+"', 'burn="fast"'],
        "target_matchers": ['alertname=~"SloBurn.+"', 'burn!="fast"'],
        "equal": ["slo", "channel"],
    }


def _receiver(name: str, routing: Routing) -> Mapping[str, Any]:
    if name == NOWHERE:
        return {"name": name}
    if routing.webhook is not None:
        return {"name": name, "webhook_configs": [{"url": f"{routing.webhook}/{name}", "send_resolved": True}]}
    match name:
        case "chat":
            return {"name": name, "slack_configs": [_chat(routing)]}
        case "dead-mans-switch":
            return {"name": name, "webhook_configs": [{"url": routing.dead_man, "send_resolved": False}]}
        case _:
            which = "secondary" if name == SECONDARY else "primary"
            return {"name": name, "pagerduty_configs": [_pager(f"{routing.secrets}/pagerduty-{which}")]}


def _pager(key_file: str) -> Mapping[str, Any]:
    return {
        "routing_key_file": key_file,
        "severity": "critical",
        "description": "{{ (index .Alerts 0).Annotations.summary }}{{ if gt (len .Alerts) 1 }} (and more){{ end }}",
        "component": "bellhouse",
        "group": "{{ .GroupLabels.channel }}",
        "details": {
            "firing": "{{ range .Alerts.Firing }}{{ .Labels.alertname }}: {{ .Annotations.description }} {{ end }}",
            "diagnosis": "{{ range .Alerts.Firing }}{{ .Annotations.diagnosis }} {{ end }}",
            "runbook": "{{ range .Alerts.Firing }}{{ .Annotations.runbook_url }} {{ end }}",
        },
    }


def _chat(routing: Routing) -> Mapping[str, Any]:
    return {
        "api_url_file": f"{routing.secrets}/chat-webhook",
        "channel": routing.chat,
        "send_resolved": True,
        "title": "{{ .Status }}: {{ (index .Alerts 0).Annotations.summary }}",
        "text": "{{ range .Alerts }}{{ .Annotations.description }}\n"
        "{{ .Annotations.diagnosis }}\n{{ .Annotations.runbook_url }}\n{{ end }}",
    }
