"""`monitoring`: files for Prometheus and Alertmanager, made from the catalogue of alerts."""

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellhouse.cli import show
from bellhouse.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from bellhouse.monitoring.thresholds import Thresholds

monitoring = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Rules and configurations for Prometheus and Alertmanager."
)

Scale = Annotated[
    str, typer.Option(help="Multiply every window, duration and interval: a number, or 1/60 to make a second a minute.")
]
Out = Annotated[Path | None, typer.Option(help="The file to write; without it, it is printed.")]


class ModeWord(StrEnum):
    """How Bellhouse runs."""

    embedded = "embedded"
    distributed = "distributed"


class EscalationWord(StrEnum):
    """Who calls the secondary on-call."""

    alertmanager = "alertmanager"
    pagerduty = "pagerduty"


@monitoring.command()
def rules(
    scale: Scale = "1",
    runbooks: Annotated[str | None, typer.Option(help="The address under which the runbooks' pages are.")] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help="Another number to compare with, such as dead_letters=50; repeatable.")
    ] = None,
    out: Out = None,
) -> None:
    """Print the rule file for Prometheus: alerts, objectives and error budgets."""
    import msgspec

    from bellhouse.monitoring.rules import IN_EARNEST, rule_file

    factor = _scale(scale)
    rendering = msgspec.structs.replace(
        IN_EARNEST, scale=factor, runbooks=runbooks or IN_EARNEST.runbooks, thresholds=_thresholds(threshold, factor)
    )
    _give(rule_file(rendering), out)


@monitoring.command()
def alertmanager(
    secrets: Annotated[
        str | None, typer.Option(help="The folder with pagerduty-primary, pagerduty-secondary and chat-webhook.")
    ] = None,
    chat: Annotated[str | None, typer.Option(help="The chat's channel.")] = None,
    dead_man: Annotated[
        str | None, typer.Option(help="Whom to call every minute; he raises the alarm when he no longer is called.")
    ] = None,
    escalation: Annotated[
        EscalationWord, typer.Option(help="Who calls the secondary on-call after a quarter of an hour.")
    ] = EscalationWord.alertmanager,
    scale: Scale = "1",
    out: Out = None,
) -> None:
    """Print the configuration of Alertmanager: who is told what."""
    import msgspec

    from bellhouse.monitoring.routing import IN_EARNEST, alertmanager_file

    given = {"secrets": secrets, "chat": chat, "dead_man": dead_man}
    routing = msgspec.structs.replace(
        IN_EARNEST,
        escalation=escalation.value,
        scale=_scale(scale),
        **{name: value for name, value in given.items() if value is not None},
    )
    _give(alertmanager_file(routing), out)


@monitoring.command()
def prometheus(
    mode: Annotated[ModeWord, typer.Option(help="How Bellhouse runs.")] = ModeWord.embedded,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Where it runs: host:port embedded, role=host or role=host:port distributed; repeatable."),
    ] = None,
    alertmanager: Annotated[str, typer.Option(help="Where Alertmanager is.")] = "127.0.0.1:9093",
    scale: Scale = "1",
    out: Out = None,
) -> None:
    """Print a configuration for Prometheus to start from: whom it scrapes."""
    from bellhouse.monitoring.scraping import ROLES, prometheus_file

    try:
        text = prometheus_file(mode.value, host or (), alertmanager, scale=_scale(scale))
    except ValueError as error:
        raise Failure(f"--host {error}", f"Roles are {', '.join(ROLES)}", USAGE) from None
    _give(text, out)


def _scale(text: str) -> float:
    above, _, below = text.partition("/")
    try:
        factor = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        factor = 0
    if not 0 < factor <= 1:
        raise Failure(
            f"--scale {text} is no number above 0 and up to 1", "1 is in earnest, 1/60 makes a second a minute", USAGE
        )
    return factor


def _thresholds(given: list[str] | None, scale: float) -> "Thresholds":
    import msgspec

    from bellhouse.monitoring.thresholds import Thresholds

    known = Thresholds().scaled(scale)
    names = msgspec.structs.asdict(known)
    changed = {}
    for one in given or ():
        name, _, number = one.partition("=")
        if name not in names:
            raise Failure(f"--threshold {one}: there is no {name}", f"There are {', '.join(names)}", USAGE)
        try:
            changed[name] = _finite(number)
        except ValueError:
            raise Failure(
                f"--threshold {one}: {number!r} is no number", f"As in {name}={names[name]:g}", USAGE
            ) from None
    return msgspec.structs.replace(known, **changed)


def _finite(text: str) -> float:
    """A number; raises ValueError also for what is only called one."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _give(text: str, out: Path | None) -> None:
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(
            f"--out {out} cannot be written: {error.strerror}", "Name a file in a folder that exists"
        ) from None
    show.line(f"Written: {out}")
