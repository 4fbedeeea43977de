"""Cases for promtool: what the rules see, and which alerts fire then. All of them are one run."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from bellhouse.engines.errors import ProgramFailed
from bellhouse.engines.process import run_program
from bellhouse.engines.prometheus import promtool
from bellhouse.monitoring.alerts import ALERTS

_ASKED: Final = re.compile(r"# case (\d+)\.")


class Case(NamedTuple):
    """One story. `series` are promtool's: `0+60x30` begins at 0 and grows by 60 an interval, 30 times."""

    name: str
    alert: str
    severity: str
    series: Mapping[str, str]
    firing: Mapping[str, Sequence[str]]
    """At a time, the labels of what fires of this alert and severity, and nothing else of it may."""
    interval: str = "1m"
    """Between two samples, and between two evaluations."""

    @property
    def fires(self) -> bool:
        """Whether it shows the alert firing, and not only silent."""
        return any(self.firing.values())


def fires(
    alert: str, severity: str, series: Mapping[str, str], *labels: str, not_at: str, at: str, **more: Any
) -> Case:
    """A story in which it fires for these labels: not yet at one time, and then at another."""
    name = more.pop("name", f"{alert} {severity} fires {' and '.join(labels)}".rstrip())
    return Case(name, alert, severity, series, {not_at: (), at: labels or ("",)}, **more)


def silent(why: str, alert: str, severity: str, series: Mapping[str, str], *at: str, **more: Any) -> Case:
    """A story in which it never fires."""
    return Case(f"{alert} {severity} is silent {why}", alert, severity, series, dict.fromkeys(at, ()), **more)


def run(cases: Sequence[Case], groups: Sequence[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """The complaint about each case that did not go as told, by its name; empty when all did."""
    files = []
    for number, (interval, name) in enumerate(dict.fromkeys((case.interval, group_of(case)) for case in cases)):
        mine = [
            (place, case) for place, case in enumerate(cases) if (case.interval, group_of(case)) == (interval, name)
        ]
        # Only what is asked for: each rule is evaluated at every step of every case.
        rules = folder / f"{number}.rules.yml"
        rules.write_text(yaml.safe_dump({"groups": [group for group in groups if group["name"] == name]}))
        path = folder / f"{number}.yml"
        path.write_text(yaml.safe_dump(_file(mine, interval, rules), sort_keys=False, width=1000))
        files.append(path)
    try:
        run_program([promtool(), "test", "rules", *files])
    except ProgramFailed as failed:
        return dict(_complaints(str(failed), cases))
    return {}


def group_of(case: Case) -> str:
    """The group that the case's alert is worked out in."""
    return next(alert.group for alert in ALERTS if alert.name == case.alert)


def _file(cases: Iterable[tuple[int, Case]], interval: str, rules: Path) -> Mapping[str, Any]:
    tests = [_test(number, case) for number, case in cases]
    return {"rule_files": [str(rules)], "evaluation_interval": interval, "tests": tests}


def _test(number: int, case: Case) -> Mapping[str, Any]:
    asked = f'ALERTS{{alertname="{case.alert}",severity="{case.severity}",alertstate="firing"}} # case {number}.'
    return {
        "name": case.name,
        "interval": case.interval,
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {"expr": asked, "eval_time": at, "exp_samples": [{"labels": _full(case, one), "value": 1} for one in some]}
            for at, some in case.firing.items()
        ],
    }


def _full(case: Case, labels: str) -> str:
    own = f'alertname="{case.alert}",alertstate="firing",severity="{case.severity}"'
    return f"ALERTS{{{own}{',' if labels else ''}{labels}}}"


def _complaints(output: str, cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """promtool repeats the query of what it complains about, and in it the number of the case."""
    first, *others = _ASKED.split(output)
    if not others:
        yield "promtool", first
    for number, complaint in zip(others[::2], others[1::2], strict=True):
        yield cases[int(number)].name, complaint


KEYS: Final = {(alert.name, alert.severity) for alert in ALERTS}
