"""Reads `kubectl` lines strictly: every word must have its place, and every name must be one of our objects."""

import shlex
from typing import Final

DEPLOYMENTS: Final = {
    "notification-api", "notification-worker", "push-worker", "email-worker", "sms-worker", "in-app-worker",
    "chat-worker", "scheduler", "realtime-gateway",
}  # fmt: skip
OBJECTS: Final = {
    "deployment": DEPLOYMENTS,
    "statefulset": {"redis"},
    "cronjob": {"token-cleanup"},
    "pod": {"redis-0"},
    "pods": set[str](),
    "secret": {"fcm-credentials"},
}
LABELS: Final = {"app=notification-worker"}
VARIABLES: Final = {"PRIMARY_PROVIDER", "SEND_RATE_LIMIT"}
PROVIDERS: Final = {"fcm", "sendgrid", "smtp", "twilio", "vonage"}
_VERBS: Final = {"undo", "restart", "status"}


class Wrong(Exception):
    """What does not fit, and where."""


def check(line: str) -> list[str]:
    """Check a line; answers the command that it runs inside a pod, if any. Raises Wrong."""
    words = shlex.split(line)
    if words[:1] != ["kubectl"]:
        raise Wrong(f"{line}: it does not begin with kubectl")
    inner: list[str] = []
    if "--" in words:
        cut = words.index("--")
        words, inner = words[:cut], words[cut + 1 :]
    match words[1:]:
        case ["get", *rest]:
            _got(line, rest)
        case ["logs", *rest]:
            _logged(line, rest)
        case ["rollout", verb, one] if verb in _VERBS:
            _named(line, one, {"deployment", "statefulset"})
        case ["scale", one, count] if count.startswith("--replicas="):
            _named(line, one, {"deployment"})
            _number(line, count)
        case ["set", "env", one, setting]:
            _named(line, one, {"deployment"})
            _setting(line, setting)
        case ["create", "job", source, name]:
            _job(line, source, name)
        case ["create", "secret", "generic", name, file] if file.startswith("--from-file="):
            _one_of(line, name, OBJECTS["secret"])
        case ["exec", one] if inner:
            _executed(line, one)
            return inner
        case _:
            raise Wrong(f"{line}: no command that we know")
    if inner:
        raise Wrong(f"{line}: nothing is run by it")
    return []


def _got(line: str, rest: list[str]) -> None:
    match rest:
        case ["pods"]:
            return
        case ["pods", "-l", label]:
            _one_of(line, label, LABELS)
        case [kind, name]:
            _one_of(line, name, OBJECTS.get(kind, set()))
        case [one]:
            _named(line, one, {"deployment", "statefulset", "cronjob"})
        case _:
            raise Wrong(f"{line}: what does it get?")


def _logged(line: str, rest: list[str]) -> None:
    flags = [word for word in rest if word.startswith("--")]
    for flag in flags:
        if flag != "--previous":
            if not flag.startswith("--tail="):
                raise Wrong(f"{line}: no flag of logs that we know: {flag}")
            _number(line, flag)
    match [word for word in rest if not word.startswith("--")]:
        case ["-l", label]:
            _one_of(line, label, LABELS)
        case [one]:
            _named(line, one, {"deployment", "pod"})
        case _:
            raise Wrong(f"{line}: whose logs?")


def _executed(line: str, one: str) -> None:
    if "/" in one:
        _named(line, one, {"deployment"})
    else:
        _one_of(line, one, OBJECTS["pod"])


def _job(line: str, source: str, name: str) -> None:
    if not source.startswith("--from="):
        raise Wrong(f"{line}: from which cron job?")
    _named(line, source.removeprefix("--from="), {"cronjob"})
    if not name.startswith("token-cleanup-manual"):
        raise Wrong(f"{line}: the job's name")


def _setting(line: str, setting: str) -> None:
    name, _, value = setting.partition("=")
    _one_of(line, name, VARIABLES)
    if name == "PRIMARY_PROVIDER":
        _one_of(line, value, PROVIDERS)
    elif not value.isdigit():
        raise Wrong(f"{line}: {name} is a number")


def _named(line: str, one: str, kinds: set[str]) -> None:
    kind, _, name = one.partition("/")
    if kind not in kinds:
        raise Wrong(f"{line}: {kind!r} cannot be meant here")
    _one_of(line, name, OBJECTS[kind])


def _one_of(line: str, word: str, known: set[str]) -> None:
    if word not in known:
        raise Wrong(f"{line}: there is no {word!r}")


def _number(line: str, flag: str) -> None:
    if not flag.partition("=")[2].isdigit():
        raise Wrong(f"{line}: {flag} wants a number")
