"""Reads a log file for messages that point to a cause."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bellhouse.ops.doctor.facts import LogFacts

KNOWN: Final = (
    "Unreadable record skipped",
    "A notification cannot be decided",
    "waits for the store",
    "wait for the store",
    "waits for the log",
    "wait for the log",
    "waits for the cache",
    "is started again",
    "cannot start",
    "crashed",
    "Shared gauge could not be read",
    "The ledger cannot be counted",
    "The ledger does not balance",
    "Ingest accepts less",
    "Circuit breaker state changed",
    "Callback refused",
    "A provider failed",
    "Request failed",
    "was silent for more than",
)
"""Parts of messages that are worth counting."""
_TOLD: Final = ("topic", "provider", "channel", "role", "old_state", "new_state", "gauge", "reason", "error")
_MOST: Final = 60
"""Kinds of message that are kept: a log of one's own making shall not fill the memory."""


def read_log(lines: Iterable[str]) -> LogFacts:
    """Count what a log says. Lines that are not ours are counted and otherwise left alone."""
    count, messages, details, failed = 0, dict[str, int](), dict[str, str](), dict[str, int]()
    for text in lines:
        count += 1
        line = _line(text)
        message = str(line.get("message", ""))
        if message == "Delivery attempted" and line.get("success") is False:
            _add(failed, f"{line.get('provider', '?')}: {line.get('error', '?')}")
        if any(part in message for part in KNOWN) and _add(messages, message):
            details[message] = ", ".join(f"{name} {line[name]}" for name in _TOLD if name in line)
    return LogFacts(count, messages, details, failed)


def _line(text: str) -> dict[str, Any]:
    try:
        line = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return line if isinstance(line, dict) else {}


def _add(counts: dict[str, int], word: str) -> bool:
    if word not in counts and len(counts) >= _MOST:
        return False
    counts[word] = counts.get(word, 0) + 1
    return True
