"""Runs a Prometheus that scrapes what it is given, evaluates the rules it is given and calls an Alertmanager."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bellhouse.engines.asking import answers, ask, tell
from bellhouse.engines.debian import program
from bellhouse.engines.ports import HOST
from bellhouse.engines.process import Engine

_PACKAGE: Final = "prometheus"
_RESEND_EVERY: Final = 4


class Job(msgspec.Struct, frozen=True):
    """Processes that are scraped alike: `host:port` of each, and the labels that their series get."""

    name: str
    targets: tuple[str, ...]
    labels: Mapping[str, str] = {}
    path: str = "/metrics"


class Sample(msgspec.Struct, frozen=True):
    """One element of an answer to a query."""

    labels: Mapping[str, str]
    value: float


class FiringAlert(msgspec.Struct, frozen=True):
    """An alert that is `pending` or `firing`."""

    name: str
    state: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    active_at: str
    """When its expression became true, RFC 3339."""


class Target(msgspec.Struct, frozen=True):
    """A process that is scraped; `health` is `up`, `down` or `unknown`, and `error` says why it is down."""

    job: str
    url: str
    health: str
    error: str


class Prometheus(Engine):
    """One Prometheus on a loopback port. Its rules and jobs may be changed while it runs."""

    name = "prometheus"

    def __init__(
        self,
        folder: Path | None = None,
        port: int | None = None,
        *,
        jobs: Sequence[Job] = (),
        rules: Sequence[Path] = (),
        alertmanager: str | None = None,
        interval_s: float = 1.0,
    ) -> None:
        """`rules` are rule files, `alertmanager` is a URL, and every `interval_s` it scrapes and evaluates."""
        super().__init__(folder, port)
        self.jobs = tuple(jobs)
        self.rules = tuple(rules)
        self._alertmanager = alertmanager
        self._interval_s = interval_s

    @property
    def url(self) -> str:
        """Where its API is, and its pages."""
        return f"http://{HOST}:{self.port}"

    def query(self, expression: str) -> list[Sample]:
        """What an expression is now, a scalar as one sample without labels; raises ProgramFailed."""
        data = ask(f"{self.url}/api/v1/query", {"query": expression})["data"]
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in data["result"]]

    def alerts(self) -> list[FiringAlert]:
        """Every alert that is pending or firing now."""
        found = ask(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        return [
            FiringAlert(one["labels"]["alertname"], one["state"], one["labels"], one["annotations"], one["activeAt"])
            for one in found
        ]

    def targets(self) -> list[Target]:
        """Every process that it scrapes."""
        found = ask(f"{self.url}/api/v1/targets", {"state": "active"})["data"]["activeTargets"]
        return [Target(one["scrapePool"], one["scrapeUrl"], one["health"], one["lastError"]) for one in found]

    def faulty_rules(self) -> dict[str, str]:
        """The rules that could not be evaluated, each with the reason."""
        groups = ask(f"{self.url}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")}

    def reload(self, *, jobs: Sequence[Job] | None = None, rules: Sequence[Path] | None = None) -> None:
        """Read jobs and rules again, those that are given instead of the earlier ones.

        Raises ProgramFailed with what is wrong with them; it goes on with the earlier ones then.
        """
        self.jobs = self.jobs if jobs is None else tuple(jobs)
        self.rules = self.rules if rules is None else tuple(rules)
        self._prepare()
        tell(f"{self.url}/-/reload")

    def _prepare(self) -> None:
        self._configuration.write_text(json.dumps(self._settings(), indent=2))  # JSON is YAML too

    def _settings(self) -> Mapping[str, Any]:
        interval = f"{round(self._interval_s * 1000)}ms"
        callee = [] if self._alertmanager is None else [_callee(self._alertmanager)]
        return {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [str(path.resolve()) for path in self.rules],
            "alerting": {"alertmanagers": callee},
            "scrape_configs": [
                {
                    "job_name": job.name,
                    "metrics_path": job.path,
                    "static_configs": [{"targets": list(job.targets), "labels": dict(job.labels)}],
                }
                for job in self.jobs
            ],
        }

    def _command(self) -> Sequence[str | Path]:
        return [
            prometheus(),
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
            "--web.enable-lifecycle",
            # What fires before Alertmanager is found, some seconds after a start, is not told; then soon again.
            f"--rules.alert.resend-delay={round(_RESEND_EVERY * self._interval_s * 1000)}ms",
            "--log.level=warn",
        ]

    def _ready(self) -> bool:
        return answers(f"{self.url}/-/ready")

    @property
    def _configuration(self) -> Path:
        return self.folder / "prometheus.yml"


def _callee(url: str) -> Mapping[str, Any]:
    scheme, _, address = url.partition("://")
    return {"scheme": scheme, "api_version": "v2", "static_configs": [{"targets": [address]}]}


def prometheus() -> Path:
    """The path of Prometheus' program; raises EngineDidNotStart when it cannot be had."""
    return program(["prometheus"], _PACKAGE)


def promtool() -> Path:
    """The path of `promtool`, which checks rules and runs their tests; raises EngineDidNotStart without one."""
    return program(["promtool"], _PACKAGE)
