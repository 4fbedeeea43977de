"""One SMTP connection as a state machine: commands out, replies in, mails pipelined as far as RFC 2920 allows.

Where PIPELINING is listed, a mail's body and the next mail's MAIL, RCPT and DATA leave in one write, so a mail costs
one round trip; DATA stays the last command of a group. Where it is not listed, every command waits for its reply.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from bellhouse.domain.attempt import Permanent, Retry, Unknown, Verdict
from bellhouse.providers.smtp import replies
from bellhouse.providers.smtp.mime import Mail
from bellhouse.providers.smtp.replies import Reply

_LONGEST_LINE = 4096
"""RFC 5321 allows 512 octets in a reply line; some servers say more, none says this much."""
_MOST_LINES = 500
_MOST_RETURNS = 2
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})([ -])?(.*)", re.DOTALL)
_ORCPT_SAFE = re.compile(r"[!-*,-<>-~]+")


class Job:
    """One mail of a batch on its way."""

    __slots__ = ("began", "index", "mail", "named", "returns", "settle", "verdict", "written")

    def __init__(self, index: int, mail: Mail, settle: Callable[["Job", Verdict], None]) -> None:
        self.index = index
        self.mail = mail
        self.settle = settle
        self.began = 0.0
        self.named = False
        """Whether MAIL was taken, so that what is said next is about the recipient."""
        self.returns = 0
        """How many connections ended with this mail before they had settled any."""
        self.written = False
        """Whether the body has been handed to a connection: from then on silence is an unknown outcome."""
        self.verdict: Verdict | None = None
        """What MAIL or RCPT has already decided, while DATA's reply is still to come."""


Step = Callable[[Reply], None]


class Session(asyncio.Protocol):
    """A connection; `greeting` and `command` talk before mails, `deliver` sends them."""

    def __init__(self, command_timeout_s: float, dot_timeout_s: float, notify: str) -> None:
        """`notify`: which reports to ask for where DSN is listed, as in `FAILURE,DELAY` (RFC 3461, 4.1)."""
        self._loop = asyncio.get_running_loop()
        self._command_timeout_s = command_timeout_s
        self._dot_timeout_s = dot_timeout_s
        self._notify = notify
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._lines: list[str] = []
        self._expected: deque[tuple[Step, Job | None]] = deque()
        """What to do with the replies to come, in their order; the first is the greeting."""
        self._expected.append((self._on_spoken, None))
        self._spoken: Reply | None = None
        """The reply to the last command, or the greeting."""
        self._queued: deque[tuple[bytes, Step, Job | None]] = deque()
        """What is to be written when it may be."""
        self._jobs: deque[Job] = deque()
        self._unsettled: set[Job] = set()
        self._done: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._watch: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._pipelines = False
        self._dsn = False
        self._size_limit: int | None = None
        """Bytes of a mail that the relay takes; None where it does not say SIZE."""
        self.lost: str | None = None
        """Why the connection has ended; None while it lives."""
        self.lost_code = "connect"
        self.idle_since = 0.0
        self.settled = 0
        """How many mails this connection has settled."""

    # Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Also called with the TLS transport after STARTTLS: nothing said before it counts any more."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        self.announced({})

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        *lines, self._buffer = buffer.split(b"\n")
        if len(self._buffer) > _LONGEST_LINE:
            self.abort("the relay's line does not end")
            return
        for line in lines:
            if self.lost is None:
                self._line(line)
        if self.lost is None:
            self._flush()

    def announced(self, capabilities: Mapping[str, str]) -> None:
        """Take note of what EHLO listed: words in capitals, with their parameters."""
        self._pipelines = "PIPELINING" in capabilities
        self._dsn = "DSN" in capabilities
        size = capabilities.get("SIZE")
        self._size_limit = None if size is None else int(size) if size.isdigit() and len(size) < 20 else 0

    @property
    def transport(self) -> asyncio.Transport:
        """The transport, to be wrapped in TLS. Raises ConnectionError."""
        if self._transport is None or self.lost is not None:
            raise ConnectionError(self.lost)
        return self._transport

    def eof_received(self) -> None:
        self.abort("the relay closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
        self.abort(f"the connection ended: {exc}" if exc is not None else "the connection ended")

    # Talking before mails

    async def greeting(self) -> Reply:
        """The relay's first words, which may have come before they are asked for. Raises ConnectionError."""
        if self._spoken is None:
            await self._wait()
        return self._said()

    async def command(self, line: bytes) -> Reply:
        """Send one command and wait for its reply. Raises ConnectionError."""
        self._spoken = None
        self._queued.append((line + b"\r\n", self._on_spoken, None))
        self._flush()
        await self._wait()
        return self._said()

    async def _wait(self) -> None:
        if self.lost is not None:
            return
        self._done = self._loop.create_future()
        self._arm()
        try:
            await self._done
        except asyncio.CancelledError:
            self.abort("cancelled")
            raise
        finally:
            self._disarm()

    def _said(self) -> Reply:
        if self._spoken is None:
            raise ConnectionError(self.lost)
        return self._spoken

    def _on_spoken(self, reply: Reply) -> None:
        self._spoken = reply
        self._finish()

    @property
    def clean(self) -> bool:
        """Whether nothing unasked-for is waiting to be read: bytes behind STARTTLS's reply are an injection."""
        return not self._buffer and not self._lines and not self._expected

    # Mails

    async def deliver(self, jobs: "deque[Job]") -> None:
        """Take jobs until none is left or the connection ends. Mails whose body was not written are put back.

        Every job taken is settled or put back when this returns; if it is cancelled, the connection is closed and
        what was written stays unsettled.
        """
        if self.lost is not None:
            return
        self._jobs = jobs
        self._done = self._loop.create_future()
        self._next()
        self._flush()
        self._arm()
        try:
            await self._done
        except asyncio.CancelledError:
            self._unsettled.clear()
            self.abort("cancelled")
            raise
        self.idle_since = self._loop.time()

    def quit(self) -> "asyncio.Future[None]":
        """Say goodbye and close, without waiting for an answer; the future is done when the socket is closed."""
        if self.lost is None and self._transport is not None:
            self._transport.write(b"QUIT\r\n")
            self._transport.close()
            self.lost = "closed"
        self._disarm()
        return self._closed

    def abort(self, reason: str) -> None:
        """End the connection: what was written without a reply is unknown, the rest goes back to the queue."""
        if self.lost is not None:
            return
        self.lost = reason
        self._disarm()
        if self._transport is not None:
            self._transport.abort()
        for job in sorted(self._unsettled, key=lambda job: job.index, reverse=True):
            self._give_up(job, reason)
        self._unsettled.clear()
        self._expected.clear()
        self._queued.clear()
        self._finish()

    def _give_up(self, job: Job, reason: str) -> None:
        if job.verdict is not None:
            job.settle(job, job.verdict)
        elif job.written:
            job.settle(job, Unknown(f"no reply after the final dot: {reason}", "no_answer"))
        elif self.settled or job.returns < _MOST_RETURNS:
            # That a connection ends after serving is its own affair; only one that served nobody counts.
            job.named = False
            if self.settled:
                self._jobs.appendleft(job)
            else:
                job.returns += 1
                self._jobs.append(job)  # last, in case it is this very mail that ends connections
        else:
            job.settle(job, Retry(reason, self.lost_code))

    # The state machine

    def _next(self) -> None:
        """Queue the envelope of the next job, or finish where there is none and nothing is expected any more."""
        while self._jobs:
            job = self._jobs.popleft()
            job.began = self._loop.time()
            if not self._size_limit or len(job.mail.data) <= self._size_limit:
                self._envelope(job)
                return
            self._settle(job, Permanent(f"the relay takes {self._size_limit} bytes at most", "too_large"))
        if not self._unsettled:
            self._finish()

    def _envelope(self, job: Job) -> None:
        self._unsettled.add(job)
        mail = job.mail
        self._queued.append((self._mail_line(mail), lambda reply: self._on_mail(job, reply), job))
        self._queued.append((self._rcpt_line(mail), lambda reply: self._on_rcpt(job, reply), job))
        self._queued.append((b"DATA\r\n", lambda reply: self._on_data(job, reply), job))

    def _on_mail(self, job: Job, reply: Reply) -> None:
        if reply.unlawful:
            self._confused(reply)
        elif not reply.ok:
            job.verdict = replies.at_mail(reply)
            self._leave_out(job)
        else:
            job.named = True

    def _on_rcpt(self, job: Job, reply: Reply) -> None:
        if reply.unlawful:
            self._confused(reply)
        elif not reply.ok and job.verdict is None:
            job.verdict = replies.at_rcpt(reply)
            self._leave_out(job)

    def _on_data(self, job: Job, reply: Reply) -> None:
        if reply.code < 400 and reply.code != 354:
            self._confused(reply)
            return
        if reply.code == 354 and job.verdict is None:
            job.written = True
            self._queued.append((job.mail.data, lambda answer: self._on_dot(job, answer), job))
            self._next()
            return
        self._settle(job, job.verdict or replies.at_data(reply))
        if reply.code == 354:
            # The relay wants a body though it refused the envelope: an empty one, whose fate is nobody's.
            self._queued.append((b".\r\n", _ignore, None))
        self._reset()

    def _on_dot(self, job: Job, reply: Reply) -> None:
        if reply.unlawful:
            self._confused(reply)
            return
        self._settle(job, replies.at_dot(reply))
        if not self._unsettled:
            self._next()

    def _confused(self, reply: Reply) -> None:
        """A reply that cannot follow: command and reply may be out of step, so no later one can be trusted."""
        self.abort(f"an unlawful reply: {reply.word}")

    def _leave_out(self, job: Job) -> None:
        """Without pipelining: the rest of a refused envelope is not sent at all."""
        if self._queued and self._queued[0][2] is job:
            while self._queued and self._queued[0][2] is job:
                self._queued.popleft()
            assert job.verdict is not None
            self._settle(job, job.verdict)
            self._reset()

    def _reset(self) -> None:
        """Forget the refused envelope at the relay, then go on: some refuse a second MAIL otherwise."""
        self._queued.append((b"RSET\r\n", self._on_reset, None))
        if self._jobs:
            self._next()

    def _on_reset(self, reply: Reply) -> None:
        if not reply.ok:
            self.abort(f"RSET was refused: {reply.word}")
        elif not self._unsettled:
            self._next()

    def _settle(self, job: Job, verdict: Verdict) -> None:
        self._unsettled.discard(job)
        self.settled += 1
        job.settle(job, verdict)

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)
        self._disarm()

    # Writing and reading

    def _flush(self) -> None:
        """Write what may be written: everything with pipelining, else one command once all replies are in."""
        if not self._queued or self._transport is None or self.lost is not None:
            return
        if not self._expected:
            self._since = self._loop.time()
        if self._pipelines:
            pieces = []
            for line, step, job in self._queued:
                pieces.append(line)
                self._expected.append((step, job))
            self._queued.clear()
            self._transport.write(b"".join(pieces))
        elif not self._expected:
            line, step, job = self._queued.popleft()
            self._expected.append((step, job))
            self._transport.write(line)

    def _line(self, line: bytes) -> None:
        match = _REPLY_LINE.fullmatch(line.rstrip(b"\r"))
        if match is None or len(line) > _LONGEST_LINE or len(self._lines) > _MOST_LINES:
            self.abort("the relay does not speak SMTP")
            return
        self._lines.append(match.group(3).decode("utf-8", "replace"))
        if match.group(2) != b"-":
            reply = Reply(int(match.group(1)), "\n".join(self._lines))
            self._lines = []
            self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        self._since = self._loop.time()
        if not self._expected:
            self.abort(f"the relay said unasked: {reply.word}")
            return
        step, job = self._expected.popleft()
        if reply.code == 421 and job is not None:
            self._closing(job, reply)
            return
        step(reply)

    def _closing(self, job: Job, reply: Reply) -> None:
        """421: the relay ends this connection.

        It speaks of a mail only where the body was written, or where a reason of policy follows its recipient;
        every other mail has simply not been sent.
        """
        if job.written:
            self._settle(job, replies.at_dot(reply))
        elif job.named and reply.enhanced.startswith("4.7."):
            self._settle(job, replies.at_rcpt(reply))
        self.lost_code = reply.word
        self.abort("the relay closes the connection")

    # Patience

    def _arm(self) -> None:
        self._disarm()
        if self.lost is None and self._done is not None and not self._done.done():
            self._since = self._loop.time()
            self._tick()

    def _tick(self) -> None:
        """Look at the oldest reply still to come, a few times per timeout instead of one timer per command."""
        waiting = self._expected[0][1] if self._expected else None
        limit = self._dot_timeout_s if waiting is not None and waiting.written else self._command_timeout_s
        if self._expected and self._loop.time() - self._since >= limit:
            self.abort("the relay did not answer in time")
            return
        pause = min(max(min(self._command_timeout_s, self._dot_timeout_s) / 8, 0.01), 5.0)
        self._watch = self._loop.call_later(pause, self._tick)

    def _disarm(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    # Commands

    def _mail_line(self, mail: Mail) -> bytes:
        parts = [f"MAIL FROM:<{mail.sender}>"]
        if self._size_limit is not None:
            parts.append(f"SIZE={len(mail.data)}")
        if self._dsn:
            parts.append(f"RET=HDRS ENVID={mail.envelope_id}")
        return " ".join(parts).encode("ascii") + b"\r\n"

    def _rcpt_line(self, mail: Mail) -> bytes:
        line = f"RCPT TO:<{mail.recipient}>"
        if self._dsn:
            line += f" NOTIFY={self._notify}"
            if _ORCPT_SAFE.fullmatch(mail.recipient):
                line += f" ORCPT=rfc822;{mail.recipient}"
        return line.encode("ascii") + b"\r\n"


def _ignore(_reply: Reply) -> None:
    """The reply to an empty body after a refused envelope decides nothing."""
