"""The pages `docs/reference/states.md` and `reasons.md`, made from the closed lists and the table of lawful moves."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final, get_args

from bellhouse.domain.attempt import STATUS_OF
from bellhouse.domain.delivery import MOVES, TERMINAL, NewsKind, settled
from bellhouse.domain.words import (
    CATEGORIES,
    CHANNELS,
    DELIVERY_STATES,
    NOTIFICATION_STATES,
    PRIORITIES,
    DeliveryState,
    NotificationState,
)
from bellhouse.policy.reasons import SENTENCES

Moves = Mapping[DeliveryState, Iterable[DeliveryState]]

NOTIFICATION_MEANINGS: Final[dict[NotificationState, str]] = {
    "waiting": "Accepted and durable; nobody has decided it yet, because its moment has not come or its turn has not.",
    "planned": "Decided: it has at least one delivery. What becomes of it now, its deliveries say.",
    "suppressed": "Decided: nothing may or can be sent; a reason for every channel.",
    "merged": "Taken up into another notification. No stage merges yet; the word is kept so that it need not be added.",
    "cancelled": "Cancelled before it was decided.",
    "expired": "Its lifetime ended before it was decided.",
}

NOTIFICATION_MOVES: Final[dict[NotificationState, tuple[NotificationState, ...]]] = {
    "waiting": ("planned", "suppressed", "merged", "cancelled", "expired")
}
"""A decision is inserted once and never changed, so there is no other move."""

DELIVERY_MEANINGS: Final[dict[DeliveryState, str]] = {
    "waiting": "Planned, and nobody sends it now: its turn, its moment, a retry, or the end of an outage is awaited.",
    "in_flight": "A worker has noted its intent to send it and has no outcome yet.",
    "unknown": "It may have been sent: the call left and no answer came, or the process ended in between.",
    "sent": "The provider accepted it; nothing has confirmed that it arrived.",
    "delivered": "Confirmed, or accepted on a channel where acceptance is arrival.",
    "failed": "It will not arrive, and sending it again would not help.",
    "dead_lettered": "Given up with its whole history; a person decides between replay and discard.",
    "expired": "Its lifetime ended before it could be sent.",
    "cancelled": "Cancelled, superseded, or discarded from the dead letters.",
}


def drawing(moves: Moves, begin: str | None, ends: Iterable[str] = ()) -> str:
    """Moves as a Mermaid state diagram; a state that leads to itself is not drawn."""
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    if begin is not None:
        lines.append(f"    [*] --> {begin}")
    lines += [f"    {state} --> {target}" for state, to in moves.items() for target in to if target != state]
    lines += [f"    {state} --> [*]" for state in ends]
    return "\n".join([*lines, "```"])


def notification_drawing() -> str:
    """The life of a notification."""
    return drawing(NOTIFICATION_MOVES, "waiting")


def delivery_drawing() -> str:
    """The life of a delivery, up to where nothing more is done by us."""
    open_states = [state for state in DELIVERY_STATES if state not in TERMINAL]
    return drawing({state: _in_order(MOVES[state]) for state in open_states}, "waiting")


def late_drawing() -> str:
    """What still moves a delivery of which nothing more was to be done: late news, and an operator."""
    return drawing({state: _in_order(MOVES[state]) for state in DELIVERY_STATES if state in TERMINAL}, None)


def states() -> str:
    """The page of every state, word and move."""
    return "\n".join(_state_lines()) + "\n"


def _state_lines() -> Iterator[str]:
    yield "# States and words\n\nMade from the code by `make docs`. The same words stand in the store, the API, the"
    yield "metrics and these pages; the lawful moves are one table, `MOVES` in `src/bellhouse/domain/delivery.py`."
    yield from ("", "## A notification", "", notification_drawing(), "")
    yield from ("| state | what it means |", "| --- | --- |")
    yield from (f"| `{state}` | {NOTIFICATION_MEANINGS[state]} |" for state in NOTIFICATION_STATES)
    yield from ("", "## A delivery", "", delivery_drawing(), "")
    yield from ("| state | what it means | it may become |", "| --- | --- | --- |")
    for state in DELIVERY_STATES:
        moves = " ".join(f"`{to}`" for to in _in_order(MOVES[state]) if to != state)
        yield f"| `{state}` | {DELIVERY_MEANINGS[state]} | {moves} |"
    yield from ("", "Of these end the work on it: " + ", ".join(f"`{s}`" for s in DELIVERY_STATES if s in TERMINAL))
    yield "— but the world may still correct us, and an operator may replay a dead letter:\n"
    yield from (late_drawing(), "", "## What a callback does", "")
    yield _NEWS
    kinds = get_args(NewsKind)
    yield from (
        "| state | " + " | ".join(f"`{kind}`" for kind in kinds) + " |",
        "| --- " * (len(kinds) + 1) + "|",
    )
    for state in (state for state in DELIVERY_STATES if state != "in_flight"):
        after = [settled(state, 1, [(1, kind)]) for kind in kinds]
        yield f"| `{state}` | " + " | ".join("stays" if to == state else f"`{to}`" for to in after) + " |"
    yield from ("", "## Verdicts", "")
    yield "What one call of a provider came to, and the `status` under which `notifications_sent_total` counts it.\n"
    yield from ("| verdict | status |", "| --- | --- |")
    yield from (f"| `{verdict}` | `{status}` |" for verdict, status in STATUS_OF.items())
    yield from ("", "## Words", "", "| list | words |", "| --- | --- |")
    for name, words in (("priority", PRIORITIES), ("channel", CHANNELS), ("category", CATEGORIES)):
        yield f"| {name} | {' '.join(f'`{word}`' for word in words)} |"


_NEWS: Final = """\
One piece of news about the last attempt, by the state that our own records give; news about a delivery that is in
flight is kept until its outcome is written. Late, doubled or disordered news comes to the same end: of several pieces
about one attempt the strongest counts (`failed` over `delivered` over `accepted`), an attempt that arrived outweighs
all others, and a failure counts for the last attempt only. Why: [ADR 0010](../adr/0010-news-is-merged.md).
"""

_GROUPS: Final[dict[str, str]] = {
    "chosen": "Why a delivery was planned",
    "deferred": "Planned for later",
    "suppressed": "Why a channel or a contact point was left out",
    "expired": "Why it ended unsent",
    "cancelled": "Who cancelled it",
    "waiting": "What a delivery waits for",
    "in_flight": "While it is being sent",
    "unknown": "Why the outcome is unknown",
    "sent": "Accepted",
    "delivered": "Arrived",
    "failed": "Why it failed",
    "dead_lettered": "Why it was given up",
}

_REASONS: Final = """\
# Reasons

Made from the code by `make docs`. Every "no", every wait and every end has one of these codes, stored with what it
explains: `GET /v1/notifications/{id}` shows code and sentence, `bellhouse why ID` only the sentences, and the labels
`reason` of the metrics are the codes (what is in no list becomes `other`). "She" is the recipient."""


def reasons() -> str:
    """The page of every reason."""
    lines = [_REASONS]
    for group, codes in groupby(SENTENCES, key=lambda code: code.partition(":")[0]):
        lines += ["", f"## {_GROUPS[group]}", "", "| code | sentence |", "| --- | --- |"]
        lines += [f"| `{code}` | {SENTENCES[code]} |" for code in codes]
    return "\n".join(lines) + "\n"


def _in_order(states: Iterable[DeliveryState]) -> list[DeliveryState]:
    return sorted(states, key=DELIVERY_STATES.index)
