"""What every provider's counter does with a call: let it in, wait, keep a receipt, answer or lose the answer."""

import math
import random
import zlib
from collections.abc import Callable, Sequence
from email.utils import formatdate

from bellhouse.simulator.clock import monotonic, now_ms
from bellhouse.simulator.dials import Board, Dials, Mix
from bellhouse.simulator.ids import Entry
from bellhouse.simulator.receipts import Provider, Receipts, Verdict
from bellhouse.simulator.wheel import Wheel
from bellhouse.simulator.wire import Exchange, Reply

News = Callable[[], None]


class Bucket:
    """A token bucket: `rate` a second, at most `burst` at once; rate 0 never refuses."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = max(burst or rate, 1.0)
        self._tokens = self._burst
        self._seen = monotonic()

    def take(self) -> bool:
        """Whether one more may pass now."""
        if not self._rate:
            return True
        now = monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate)
        self._seen = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Desk:
    """The common part of one provider, set by its dials."""

    def __init__(self, provider: Provider, board: Board, receipts: Receipts, wheel: Wheel, rng: random.Random) -> None:
        self.provider = provider
        self._receipts = receipts
        self._wheel = wheel
        self.random = rng.random
        self._rng = rng
        self._second = 0
        self._spelled = b""
        board.listen(provider, self._tune)

    def _tune(self, dials: Dials) -> None:
        throttle = dials.throttle
        before: Dials | None = getattr(self, "dials", None)
        if before is None or before.throttle != throttle:
            self._bucket = Bucket(throttle.rate_per_second, throttle.burst)
        self.dials = dials
        self.errors = Mix(dials.errors)
        self.failures = Mix(dials.callback_failures)
        self._dead_edge = int(dials.dead_token_share * (1 << 32))
        self._instant = dials.latency.kind == "fixed" and not dials.latency.min_ms

    def shut(self, exchange: Exchange, unavailable: Reply, entries: Callable[[], Sequence[Entry]] = tuple) -> bool:
        """Treat the call as the current outage does; False if there is none.

        `entries` reads the call's messages, for the receipts of an outage that answers; queries have none.
        """
        match self.dials.outage:
            case "none":
                return False
            case "refuse":
                exchange.refuse()
            case "503":
                self.settle(exchange, unavailable, "retry", entries())
            case "hang":
                pass
        return True

    def admits(self) -> bool:
        """Whether the throttle lets one more call pass."""
        return self._bucket.take()

    def error(self) -> str | None:
        """The name of the error this call meets, by the dial's probabilities."""
        return self.errors.pick(self.random()) if self.errors else None

    def failure(self) -> str | None:
        """The name of the fate an accepted message meets later, by the dial's probabilities."""
        return self.failures.pick(self.random()) if self.failures else None

    def is_dead(self, address: str) -> bool:
        """Whether this token, address or number is dead; the same one always is, for the same share."""
        if self._dead_edge and zlib.crc32(address.encode("utf-8", "replace")) < self._dead_edge:
            return True
        return address in self.dials.dead_tokens

    def delay(self) -> float:
        """How long the next answer takes, in milliseconds."""
        latency = self.dials.latency
        match latency.kind:
            case "fixed":
                return latency.min_ms
            case "uniform":
                return latency.min_ms + (latency.max_ms - latency.min_ms) * self.random()
            case "lognormal":
                drawn = latency.median_ms * math.exp(self._rng.gauss(0, latency.sigma))
                return min(max(drawn, latency.min_ms), latency.max_ms or math.inf)

    def settle(
        self,
        exchange: Exchange,
        reply: Reply,
        verdict: Verdict,
        entries: Sequence[Entry],
        news: News | None = None,
    ) -> None:
        """Answer after the dial's latency; a receipt per entry, and `news` starts what follows an acceptance."""
        if self._instant:
            self._finish(exchange, reply, verdict, entries, news)
        else:
            self._wheel.later(self.delay(), self._finish, exchange, reply, verdict, entries, news)

    def _finish(
        self,
        exchange: Exchange,
        reply: Reply,
        verdict: Verdict,
        entries: Sequence[Entry],
        news: News | None,
    ) -> None:
        if verdict == "accepted" and self.dials.lost_answers and self.random() < self.dials.lost_answers:
            verdict = "accepted_answer_lost"
            if self.dials.lost_answer_mode == "close":
                exchange.drop()
        elif not self.answer(exchange, reply) and verdict == "accepted":
            verdict = "accepted_answer_lost"
        at = now_ms()
        for entry in entries:
            self.note(at, verdict, entry)
        if news is not None:
            news()

    def answer(self, exchange: Exchange, reply: Reply) -> bool:
        """Answer with this provider's Date; False if the caller has gone."""
        return exchange.reply(reply._replace(date=self._date()))

    def _date(self) -> bytes:
        """The Date of an answer by this provider's clock; made once a second."""
        second = int(now_ms() / 1000 + self.dials.clock_ahead_s)
        if second != self._second:
            self._second, self._spelled = second, formatdate(second, usegmt=True).encode()
        return self._spelled

    def note(self, at: int, verdict: Verdict, entry: Entry) -> None:
        """Keep one receipt."""
        self._receipts.append(at, self.provider, verdict, entry)
