"""What an alert is: when it fires, whom it concerns, and what is read at three in the morning."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

Severity = Literal["critical", "warning", "info", "none"]
"""critical wakes somebody, warning is for the day, info is only shown, none says that alerts arrive at all."""

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME: Final = re.compile(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b")
_LABELS_OF: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}")
_MATCHER: Final = re.compile(r"([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)")
_DURATION: Final = re.compile(r"\[[^\]]*\]|\boffset\s+\w+")
_FUNCTIONS: Final = re.compile(r"\b[a-z_]+\s*(?=\()")
_OPERATORS: Final = frozenset(("and", "or", "unless", "by", "without", "on", "ignoring", "offset", "bool"))


class Alert(msgspec.Struct, frozen=True):
    """One alert, with durations as they are in earnest, and `$name` where a threshold stands."""

    name: str
    severity: Severity
    expression: str
    for_: str
    """How long it must have been true; `0s` fires at once."""
    summary: str
    description: str
    slug: str
    """Its page is `docs/runbooks/<slug>.md`."""
    group: str
    labels: Mapping[str, str] = {}

    @property
    def key(self) -> str:
        """What tells it from the others: its name, and what differs where several share one."""
        return " ".join([self.name, self.severity, *self.labels.values()])


class Recording(msgspec.Struct, frozen=True):
    """A series that is worked out for others to ask."""

    name: str
    expression: str
    group: str
    labels: Mapping[str, str] = {}


def metrics_in(expression: str) -> set[str]:
    """The names of all series that an expression asks for, recorded ones too."""
    bare = _STRING.sub("", _DURATION.sub("", _LABELS_OF.sub("", _STRING.sub('""', expression))))
    bare = _FUNCTIONS.sub("", re.sub(r"\{[^}]*\}|\$\w+|\b\d\S*", "", bare))
    return {name for name in _NAME.findall(bare) if name not in _OPERATORS}


def selected_labels(expression: str) -> Iterator[tuple[str, str]]:
    """Every metric with every label that an expression picks its series by."""
    for metric, matchers in _SELECTOR.findall(_STRING.sub('""', expression)):
        yield from ((metric, label) for label in _MATCHER.findall(matchers))
