"""Collects the doctor's facts: asks metrics twice, health and the API once, and looks at the folder and a log."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from bellhouse.adapters.clock import SystemClock
from bellhouse.app.asking import Hung, Unanswered, ask, host_of, metrics_of, object_of, prometheus_results
from bellhouse.app.folder import read_run_file
from bellhouse.app.locks import holder
from bellhouse.ops.doctor.facts import Facts, ProcessFacts, ServerFacts
from bellhouse.ops.doctor.logs import read_log
from bellhouse.ops.doctor.prometheus import METERS, reading_of
from bellhouse.ops.doctor.readings import (
    breakers_of,
    facts_of_metrics,
    levers_of,
    with_ledger,
    with_providers,
    with_store,
    with_test,
)
from bellhouse.ops.doctor.samples import Key, Reading, between, parse

_RECENT_S: Final = 600
_METRICS_S: Final = 4.0
"""A process shows its figures at once, or stands still."""
_OK: Final = 200
_NOT_FOUND: Final = 404


class Request(msgspec.Struct, frozen=True):
    """Whom to ask, and how long to look."""

    url: str | None = None
    key: str | None = None
    data: Path | None = None
    """The data folder, where it is on this machine."""
    metrics: tuple[str, ...] = ()
    """Addresses of `/metrics`; without any, the server's own."""
    prometheus: str | None = None
    """A Prometheus that scrapes all of them: it gives windows of its own."""
    window_s: float = 5.0
    log: Iterable[str] | None = None
    test_providers: bool = False
    recent_s: int = _RECENT_S
    """How far back the store's newest rows are looked at."""


def examine(request: Request) -> Facts:
    """Collect everything that can be had; what cannot is named in `gaps`. Changes nothing, raises nothing of a server's
    doing."""
    gaps: list[str] = []
    reading, last = _metrics(request, gaps)
    facts = facts_of_metrics(reading, last.at or SystemClock().now() / 1000)
    facts = msgspec.structs.replace(facts, dead_targets=last.dead, hung_targets=last.hung, server=_server(request))
    facts = _of_folder(facts, request.data)
    if request.url is not None and facts.server.answers:
        facts = _of_api(facts, request.url, request, gaps)
        if request.test_providers:
            facts = _tested(facts, request.url, request.key, gaps)
    if request.log is not None:
        facts = msgspec.structs.replace(facts, log=read_log(request.log))
    return msgspec.structs.replace(facts, gaps=tuple(gaps))


# --- metrics ---


class _Scrape(msgspec.Struct, frozen=True):
    """What the addresses of metrics answered."""

    samples: dict[Key, float] = {}
    dead: tuple[str, ...] = ()
    """Those that nothing listens at, or that answer with an error."""
    hung: tuple[str, ...] = ()
    """Those where a connection is taken, and nothing said."""
    at: float = 0.0
    """When they were asked, in seconds since the epoch; 0 where nobody was."""


def _metrics(request: Request, gaps: list[str]) -> tuple[Reading, _Scrape]:
    """The reading, and how its last look went; what is said of the server itself is said of its own address."""
    if request.prometheus is not None:
        try:
            return _of_prometheus(request.prometheus), _Scrape()
        except Unanswered as error:
            gaps.append(f"Prometheus at {request.prometheus}: {error}")
    targets = request.metrics or ((f"{request.url}/metrics",) if request.url else ())
    if not targets:
        return Reading(), _Scrape()
    clock = SystemClock()
    began = clock.monotonic()
    first = _scraped(targets)
    if first.samples:
        clock.pause(request.window_s)
    last = _scraped([one for one in targets if one not in first.hung]) if first.samples else first
    told = _Scrape(
        dead=tuple(dict.fromkeys((*first.dead, *last.dead))) if request.metrics else (),
        hung=tuple(dict.fromkeys((*first.hung, *last.hung))) if request.metrics else (),
        at=last.at,
    )
    if not first.samples:
        return Reading(), told
    return between(first.samples, last.samples or first.samples, clock.monotonic() - began), told


def _scraped(targets: Sequence[str]) -> _Scrape:
    found: dict[Key, float] = {}
    dead, hung = [], []
    at = SystemClock().now() / 1000
    for target, answer in metrics_of(targets, _METRICS_S):
        match answer:
            case str():
                found.update(parse(answer, host_of(target) if len(targets) > 1 else ""))
            case Hung():
                hung.append(target)
            case _:
                dead.append(target)
    return _Scrape(found, tuple(dead), tuple(hung), at)


def _of_prometheus(url: str) -> Reading:
    answers = prometheus_results(url, METERS.values())
    try:
        return reading_of(dict(zip(METERS, answers, strict=True)))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unanswered("it answers, but not as a Prometheus does") from None


# --- the server ---


def _server(request: Request) -> ServerFacts:
    alive = None
    if request.data is not None and request.data.is_dir() and (request.data / "lock").exists():
        alive = holder(request.data / "lock") is not None
    if request.url is None:
        asked = alive is not None or request.data is not None
        return ServerFacts(asked, "", not asked, "no address of it is known", supervisor_alive=alive)
    try:
        ask("GET", f"{request.url}/healthz")
        status, body = ask("GET", f"{request.url}/readyz")
    except Unanswered as error:
        return ServerFacts(True, request.url, False, str(error), supervisor_alive=alive)
    if status == _OK:
        try:
            checks = {row["name"]: row.get("detail", "") for row in object_of(body).get("checks", ())}
        except (KeyError, TypeError, AttributeError):
            return ServerFacts(True, request.url, False, "what answers is no Bellhouse", supervisor_alive=alive)
        return ServerFacts(True, request.url, True, "", True, checks, supervisor_alive=alive)
    said = str(object_of(body).get("detail", f"status {status}"))
    failed = {name: words for name, _, words in (part.partition(": ") for part in said.split("; "))}
    return ServerFacts(True, request.url, True, "", False, failed, tuple(failed), alive)


def _of_folder(facts: Facts, data: Path | None) -> Facts:
    """What can be seen of processes and their volume from the machine that they run on."""
    if data is None or not data.is_dir():
        return facts
    volume = os.statvfs(data)
    running = read_run_file(data)
    roles = {} if running is None else running.roles
    processes = tuple(_with_life(one, roles.get(one.role)) for one in facts.processes)
    return msgspec.structs.replace(
        facts,
        processes=processes,
        folder_free=float(volume.f_bavail * volume.f_frsize),
        folder_size=float(volume.f_blocks * volume.f_frsize),
    )


def _with_life(one: ProcessFacts, pid: int | None) -> ProcessFacts:
    if pid is None:
        return one
    return msgspec.structs.replace(one, alive=Path(f"/proc/{pid}").exists() if Path("/proc").exists() else None)


def _of_api(facts: Facts, url: str, request: Request, gaps: list[str]) -> Facts:
    def get(path: str) -> Any:
        return _json("GET", url + path, request.key)

    steps: tuple[tuple[str, Callable[[Facts, Any], Facts]], ...] = (
        ("/v1/breakers", lambda known, answer: msgspec.structs.replace(known, breakers=breakers_of(answer))),
        (f"/v1/diagnosis?within_s={request.recent_s}", with_store),
        ("/v1/ledger", with_ledger),
        ("/v1/providers", with_providers),
        ("/v1/levers", lambda known, answer: msgspec.structs.replace(known, levers=levers_of(answer))),
    )
    for path, put in steps:
        try:
            facts = put(facts, get(path))
        except (Unanswered, KeyError, TypeError, ValueError, AttributeError) as error:
            gaps.append(f"{path.partition('?')[0]}: {error}")
    return facts


def _tested(facts: Facts, url: str, key: str | None, gaps: list[str]) -> Facts:
    """The verdict of one dry call of each provider."""
    providers = []
    for one in facts.providers:
        try:
            providers.append(with_test(one, _json("POST", f"{url}/v1/providers/{quote(one.name)}/test", key)))
        except (Unanswered, KeyError, TypeError) as error:
            gaps.append(f"test of {one.name}: {error}")
            providers.append(one)
    return msgspec.structs.replace(facts, providers=tuple(providers))


def _json(method: str, url: str, key: str | None) -> Any:
    status, body = ask(method, url, key)
    answer = object_of(body)
    if status >= 400:
        if status == _NOT_FOUND:
            raise Unanswered("this server has no such route")
        raise Unanswered(str(answer.get("detail") or f"status {status}"))
    return answer
