"""Runs an Alertmanager with the configuration that it is given."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bellhouse.engines.asking import answers, ask, tell
from bellhouse.engines.debian import program, unpacked_around
from bellhouse.engines.ports import HOST
from bellhouse.engines.process import Engine

_PACKAGE: Final = "prometheus-alertmanager"
# Where Debian's Alertmanager looks for its templates: nowhere else, and it does not start without them.
_INSTALLED: Final = "/usr/share/prometheus/alertmanager"
# Where a copy of it looks, from the folder that it runs in.
_HERE: Final = "templates"
_MOVABLE: Final = "movable-alertmanager"


class HeldAlert(msgspec.Struct, frozen=True):
    """An alert as Alertmanager holds it: who is told, and whether something keeps it quiet."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    receivers: tuple[str, ...]
    inhibited: bool
    silenced: bool


class Alertmanager(Engine):
    """One Alertmanager on a loopback port, without others of its kind."""

    name = "alertmanager"

    def __init__(self, configuration: str, folder: Path | None = None, port: int | None = None) -> None:
        """`configuration` is the text of its file; files that it names must be there before the start."""
        super().__init__(folder, port)
        self._text = configuration

    @property
    def url(self) -> str:
        """Where Prometheus sends alerts, and where its pages are."""
        return f"http://{HOST}:{self.port}"

    def alerts(self) -> list[HeldAlert]:
        """Every alert that it holds."""
        return [
            HeldAlert(
                one["labels"]["alertname"],
                one["labels"],
                one["annotations"],
                tuple(receiver["name"] for receiver in one["receivers"]),
                bool(one["status"]["inhibitedBy"]),
                bool(one["status"]["silencedBy"]),
            )
            for one in ask(f"{self.url}/api/v2/alerts")
        ]

    def give(self, alerts: Sequence[Mapping[str, str]]) -> None:
        """Hand it alerts as Prometheus does, each the labels of one; raises ProgramFailed."""
        tell(f"{self.url}/api/v2/alerts", [{"labels": dict(labels)} for labels in alerts])

    def reload(self, configuration: str) -> None:
        """Go on with another configuration; raises ProgramFailed, and goes on with the earlier one, for a bad one."""
        self._text = configuration
        self._prepare()
        tell(f"{self.url}/-/reload")

    def _prepare(self) -> None:
        templates = _templates()
        if templates is not None:
            shutil.copytree(templates, self.folder / _HERE, dirs_exist_ok=True)
        self._configuration.touch(mode=0o600)  # it may hold secrets
        self._configuration.write_text(self._text)

    def _command(self) -> Sequence[str | Path]:
        return [
            _movable(alertmanager()),
            f"--config.file={self._configuration}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    def _ready(self) -> bool:
        return answers(f"{self.url}/-/ready")

    @property
    def _configuration(self) -> Path:
        return self.folder / "alertmanager.yml"


def webhook_configuration(url: str) -> str:
    """The least configuration: every alert goes to one address at once, alone."""
    return json.dumps(_least(url), indent=2)


def _least(url: str) -> Mapping[str, Any]:
    return {
        "route": {"receiver": "webhook", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "webhook", "webhook_configs": [{"url": url, "send_resolved": True}]}],
    }


def alertmanager() -> Path:
    """The path of Alertmanager's program; raises EngineDidNotStart when it cannot be had."""
    return program(["alertmanager", "prometheus-alertmanager"], _PACKAGE)


def _templates() -> Path | None:
    """Where the templates of a Debian package lie that is not installed; None where Alertmanager finds its own."""
    folder = unpacked_around(alertmanager())
    return None if folder is None else folder / _INSTALLED.removeprefix("/")


def _movable(path: Path) -> Path:
    """The program or, of a Debian package that is not installed, a copy that takes its templates from where it runs."""
    if unpacked_around(path) is None:
        return path
    copy = path.with_name(_MOVABLE)
    if not copy.exists():
        # A path of the same length, as a program's texts have their places: slashes at the end mean nothing.
        here = f"./{_HERE}".ljust(len(_INSTALLED), "/")
        with tempfile.TemporaryDirectory(dir=path.parent) as own:
            made = Path(own, _MOVABLE)
            made.write_bytes(path.read_bytes().replace(_INSTALLED.encode(), here.encode()))
            made.chmod(0o755)
            made.rename(copy)
    return copy


def amtool() -> Path:
    """The path of `amtool`, which checks a configuration and its routes; raises EngineDidNotStart without one."""
    return program(["amtool"], _PACKAGE)
