"""What follows an accepted message: the provider's callbacks, late, doubled, out of order or lost as the dials say."""

import random
from collections.abc import Callable, Sequence

from msgspec import Struct

from bellhouse.simulator.callback_client import Call, CallbackClient, Target, target_of
from bellhouse.simulator.clock import monotonic
from bellhouse.simulator.desk import Desk
from bellhouse.simulator.wheel import Wheel

Done = Callable[[], None]
# One piece of news: does its work (usually `Office.mail`) and calls back once it has been tried.
Step = Callable[[Done], None]

_LONGEST_GAP_MS = 30_000.0


class Patience(Struct, frozen=True):
    """When a sender repeats a callback: up to `tries` repeats (None = until the time is over)."""

    repeats: int | None
    on_status: bool


# SendGrid and Vonage repeat for a day whatever the failure; Twilio once, and only when nobody answered.
STUBBORN = Patience(None, True)
TWILIO = Patience(1, False)


class Letter:
    """A callback on its way, with its history."""

    __slots__ = ("body", "desk", "fields", "first_tried", "patience", "target", "tries")

    def __init__(self, desk: Desk, target: Target, fields: bytes, body: bytes, patience: Patience) -> None:
        self.desk = desk
        self.target = target
        self.fields = fields
        self.body = body
        self.patience = patience
        self.tries = 0
        self.first_tried = 0.0


class Office:
    """Schedules, sends and repeats callbacks; holds at most `limit` of them at once."""

    def __init__(self, wheel: Wheel, client: CallbackClient, rng: random.Random, limit: int) -> None:
        self._wheel = wheel
        self._client = client
        self._rng = rng
        self._limit = limit
        self._base: str | None = None
        self._targets: dict[str, Target | None] = {}
        self._era = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything pending and all counts."""
        self._era += 1
        self._wheel.clear()
        self._client.clear()
        self.scheduled = self.sending = self.repeating = 0
        self.sent = self.given_up = self.dropped = self.lost = 0

    @property
    def base(self) -> str | None:
        """The URL under which account-level callbacks are received; None sends none."""
        return self._base

    @base.setter
    def base(self, url: str | None) -> None:
        self._base = url
        self._targets.clear()

    def account_target(self, provider: str) -> Target | None:
        """Where account-level callbacks of `provider` go, if anybody has said so."""
        if self._base is None:
            return None
        if provider not in self._targets:
            self._targets[provider] = target_of(f"{self._base.rstrip('/')}/callbacks/{provider}")
        return self._targets[provider]

    def pending(self) -> dict[str, int]:
        """How many callbacks are outstanding, and what became of the others since the last reset."""
        return {
            "pending": self.scheduled + self.sending + self.repeating,
            "scheduled": self.scheduled,
            "sending": self.sending,
            "repeating": self.repeating,
            "sent": self.sent,
            "given_up": self.given_up,
            "lost": self.lost,
            "dropped": self.dropped,
        }

    def follow(self, desk: Desk, steps: Sequence[Step]) -> None:
        """Play `steps` one after the other, each after the dial's delay; disorder plays them all at once, shuffled."""
        if not steps or not desk.dials.callbacks:
            return
        if len(steps) > 1 and self._rng.random() < desk.dials.callback_disorder:
            shuffled = list(steps)
            self._rng.shuffle(shuffled)
            for step in shuffled:
                self._schedule(desk, (step,), 0)
        else:
            self._schedule(desk, steps, 0)

    def after(self, delay_ms: float, action: Callable[[], None]) -> None:
        """Call `action` after a delay, counted as a scheduled callback, unless a reset comes first."""
        self.scheduled += 1
        self._wheel.later(delay_ms, self._act, action, self._era)

    def _act(self, action: Callable[[], None], era: int) -> None:
        if era == self._era:
            self.scheduled -= 1
            action()

    def _schedule(self, desk: Desk, steps: Sequence[Step], index: int, copy: bool = False) -> None:
        if self.scheduled + self.sending + self.repeating >= self._limit:
            self.dropped += len(steps) - index
            return
        self.scheduled += 1
        self._wheel.later(self._wait(desk), self._play, desk, steps, index, copy, self._era)

    def _wait(self, desk: Desk) -> float:
        delay = desk.dials.callback_delay_ms
        return delay.min + (delay.max - delay.min) * self._rng.random()

    def _play(self, desk: Desk, steps: Sequence[Step], index: int, copy: bool, era: int) -> None:
        if era != self._era:
            return
        self.scheduled -= 1

        def go_on() -> None:
            if era == self._era and index + 1 < len(steps):
                self._schedule(desk, steps, index + 1)

        if self._rng.random() < desk.dials.callback_loss:
            self.lost += 1
            go_on()
            return
        steps[index](go_on)
        if not copy and self._rng.random() < desk.dials.callback_duplicates:
            self._schedule(desk, (steps[index],), 0, copy=True)

    def mail(self, letter: Letter, done: Done) -> None:
        """Send `letter`; `done` is called after its first try, whatever came of it."""
        letter.first_tried = monotonic()
        self._try(letter, done, self._era)

    def _try(self, letter: Letter, done: Done, era: int) -> None:
        if era != self._era:
            return
        if letter.tries:
            self.repeating -= 1
        self.sending += 1
        letter.tries += 1

        def answered(status: int) -> None:
            if era == self._era:
                self.sending -= 1
                self._judge(letter, status, era)
                done()

        self._client.post(Call(letter.target, letter.fields, letter.body, answered))

    def _judge(self, letter: Letter, status: int, era: int) -> None:
        if 200 <= status < 300:
            self.sent += 1
            return
        gap = self._gap(letter, status)
        if gap is None:
            self.given_up += 1
            return
        self.repeating += 1
        self._wheel.later(gap, self._try, letter, _nothing, era)

    def _gap(self, letter: Letter, status: int) -> float | None:
        """Milliseconds until the next try; None when the sender gives up."""
        patience, dials = letter.patience, letter.desk.dials
        if status and not patience.on_status:
            return None
        if patience.repeats is not None and letter.tries > patience.repeats:
            return None
        if (monotonic() - letter.first_tried) * 1000 > dials.callback_retry_for_ms:
            return None
        gap = dials.callback_retry_ms * 2.0 ** min(letter.tries - 1, 16)
        return min(gap, max(_LONGEST_GAP_MS, dials.callback_retry_ms)) * (0.75 + self._rng.random() / 2)


def _nothing() -> None:
    """What follows a repeat."""
