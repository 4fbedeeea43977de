"""Waiting for what must come true: conditions with a deadline, never a pause of a guessed length."""

import time
from collections.abc import Callable
from typing import TypeVar

_LOOK_S = 0.02

_T = TypeVar("_T")


def wait_until(condition: Callable[[], _T], within_s: float = 20.0, what: Callable[[], object] | str = "") -> _T:
    """The condition's first true answer. Raises AssertionError with `what` after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {within_s} s: {said or condition}")
        time.sleep(_LOOK_S)
