"""The reference page of the alerts and objectives, made from the catalogue."""

import re
import string
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from bellhouse.monitoring import slo
from bellhouse.monitoring.alert import Alert
from bellhouse.monitoring.alerts import ALERTS
from bellhouse.monitoring.rules import IN_EARNEST, RECORDINGS, expression_of
from bellhouse.monitoring.thresholds import Thresholds, meaning_of

_FIGURE: Final = re.compile(r"\{\{.*?\}\}")
_HEAD: Final = """\
# Alerts

Made from the code by `make docs`. The rules are
[deploy/monitoring/prometheus/bellhouse.rules.yml](../../deploy/monitoring/prometheus/bellhouse.rules.yml);
[how they are put to use](../howto/monitor.md), and what to do about each: its runbook, or `bellhouse doctor <slug>`.

`critical` wakes somebody, `warning` is for the day, `info` is only shown. Watchdog has none of these: it always fires.
"""


def page() -> str:
    """The page as Markdown."""
    return _HEAD + "\n" + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "| alert | severity | for | runbook |"
    yield "| --- | --- | --- | --- |"
    plain = [alert for alert in ALERTS if alert.slug != slo.RUNBOOK]
    burning = [alert for alert in ALERTS if alert.slug == slo.RUNBOOK]
    for alert in plain:
        yield f"| [{alert.name}](#{alert.name.lower()}) | {alert.severity} | {alert.for_} | `{alert.slug}` |"
    yield f"| [SloBurn…](#objectives-and-error-budgets) | by burn rate | by burn rate | `{slo.RUNBOOK}` |"
    yield from _numbers()
    for name in dict.fromkeys(alert.name for alert in plain):
        yield from _section(name, [alert for alert in plain if alert.name == name])
    yield from _objectives(burning)
    yield from _recordings()


def _section(name: str, alerts: Sequence[Alert]) -> Iterator[str]:
    yield from ("", f"## {name}")
    for alert in alerts:
        yield from ("", *_wrapped(f"*{alert.severity}*, for {alert.for_}. {_prose(alert)}"), "")
        yield from ("```promql", expression_of(alert), "```")


def _prose(alert: Alert) -> str:
    """Its description, without the figures that only an alert that fires has."""
    return _FIGURE.sub("…", string.Template(alert.description).safe_substitute(IN_EARNEST.numbers))


def _numbers() -> Iterator[str]:
    yield from ("", "## Thresholds", "")
    yield "`bellhouse monitoring rules --threshold NAME=NUMBER` changes one. A time scale multiplies the ages (`_s`)."
    yield from ("", "| name | default | meaning |", "| --- | --- | --- |")
    for name, value in msgspec.structs.asdict(Thresholds()).items():
        yield f"| `{name}` | {_figure(value)} | {meaning_of(name)} |"


def _figure(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def _objectives(alerts: Sequence[Alert]) -> Iterator[str]:
    yield from ("", "## Objectives and error budgets", "")
    yield "| objective | target | alert | kept by | what counts as bad |"
    yield "| --- | --- | --- | --- | --- |"
    for one in slo.OBJECTIVES:
        by = ", ".join(f"`{label}`" for label in one.by)
        yield f"| {one.title} | {one.target:.1%} | {one.alert} | {by} | {one.meaning} |"
    least = f"{slo.LEAST * 3600:.0f}"
    yield ""
    yield from _wrapped(
        f"A budget is what may be bad over {slo.BUDGET_DAYS} days. Each objective has four alerts, which `burn` tells "
        f"apart; all lead to `{slo.RUNBOOK}`. Fewer than {least} events an hour are no base for a share: none fires."
    )
    yield ""
    yield "| burn | rate | long window | short window | for | severity | spent |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for burn in slo.BURNS:
        cells = (burn.word, f"{burn.rate:g}", burn.long, burn.short, burn.for_, burn.severity, burn.spent)
        yield f"| {' | '.join(cells)} |"
    yield from ("", f"The first of {len(alerts)}:", "", "```promql", expression_of(alerts[0]), "```")


def _recordings() -> Iterator[str]:
    yield from ("", "## Recorded series", "", "For boards and questions, beside the alerts.", "")
    yield "| series | `slo` |"
    yield "| --- | --- |"
    for name in dict.fromkeys(one.name for one in RECORDINGS):
        kept = [one.labels["slo"] for one in RECORDINGS if one.name == name and one.labels]
        yield f"| `{name}` | {', '.join(f'`{slug}`' for slug in kept)} |"
