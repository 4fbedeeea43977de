"""Renders alerts and recordings as a Prometheus rule file, in earnest or at a time scale for drills."""

import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from bellhouse.monitoring import slo, symptoms
from bellhouse.monitoring.alert import Alert, Recording
from bellhouse.monitoring.alerts import ALERTS
from bellhouse.monitoring.thresholds import Thresholds
from bellhouse.monitoring.timescale import milliseconds, scaled, scaled_expression, written
from bellhouse.monitoring.yaml_text import document

RUNBOOKS: Final = "https://example.com/bellhouse/docs/runbooks"
"""Where the pages are, unless said otherwise: an address that shows that nobody has said it."""

RECORDINGS: Final = (*symptoms.RECORDINGS, *slo.recordings())

_EVERY: Final = "15s"
_EVERY_BUDGET: Final = "5m"
_SHORTEST_MS: Final = 500

_COMMENT: Final = """\
Bellhouse's alerts, objectives and error budgets, for Prometheus.
Made by `bellhouse monitoring rules`; a test keeps deploy/monitoring equal to it. Change the numbers by its options."""


class Rendering(msgspec.Struct, frozen=True):
    """How the rules are written down."""

    scale: float = 1.0
    """What every window, duration and interval is multiplied by: 1/60 makes a second of a minute."""
    runbooks: str = RUNBOOKS
    """The address under which the runbooks' pages are, without a slash at its end."""
    suffix: str = ".md"
    """What follows a runbook's slug in its address."""
    thresholds: Thresholds | None = None
    """None for those that are meant in earnest, their ages scaled."""

    @property
    def numbers(self) -> Mapping[str, str]:
        """What stands for each `$name`."""
        thresholds = Thresholds().scaled(self.scale) if self.thresholds is None else self.thresholds
        return {name: _number(value) for name, value in msgspec.structs.asdict(thresholds).items()}


IN_EARNEST: Final = Rendering()


def rule_file(rendering: Rendering = IN_EARNEST) -> str:
    """The rule file's text."""
    return document({"groups": list(_groups(rendering))}, _COMMENT)


def expression_of(rule: Alert | Recording, rendering: Rendering = IN_EARNEST) -> str:
    """A rule's expression as Prometheus evaluates it."""
    return scaled_expression(string.Template(rule.expression).safe_substitute(rendering.numbers), rendering.scale)


def runbook_url(slug: str, rendering: Rendering = IN_EARNEST) -> str:
    """Where a runbook's page is."""
    return f"{rendering.runbooks.rstrip('/')}/{slug}{rendering.suffix}"


def _groups(rendering: Rendering) -> Iterator[Mapping[str, Any]]:
    """Recordings stand before the alerts that ask for them: a group is worked off in its order."""
    every: tuple[Alert | Recording, ...] = (*RECORDINGS, *ALERTS)
    for name in dict.fromkeys(rule.group for rule in every):
        interval = _EVERY_BUDGET if name == slo.BUDGET_GROUP else _EVERY
        yield {
            "name": name,
            "interval": written(max(_SHORTEST_MS, milliseconds(scaled(interval, rendering.scale)))),
            "rules": list(_rules((rule for rule in every if rule.group == name), rendering)),
        }


def _rules(rules: Iterable[Alert | Recording], rendering: Rendering) -> Iterator[Mapping[str, Any]]:
    for rule in rules:
        match rule:
            case Recording():
                labels = {"labels": dict(rule.labels)} if rule.labels else {}
                yield {"record": rule.name, "expr": expression_of(rule, rendering), **labels}
            case Alert():
                yield _alert(rule, rendering)


def _alert(alert: Alert, rendering: Rendering) -> Mapping[str, Any]:
    numbers = rendering.numbers
    for_ = {} if alert.for_ == "0s" else {"for": scaled(alert.for_, rendering.scale)}
    return {
        "alert": alert.name,
        "expr": expression_of(alert, rendering),
        **for_,
        "labels": {"severity": alert.severity, **alert.labels},
        "annotations": {
            "summary": string.Template(alert.summary).safe_substitute(numbers),
            "description": string.Template(alert.description).safe_substitute(numbers),
            "runbook_url": runbook_url(alert.slug, rendering),
            "diagnosis": f"bellhouse doctor {alert.slug}",
        },
    }


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
