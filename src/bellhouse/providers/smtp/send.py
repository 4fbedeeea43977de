"""Sending by SMTP: a batch's mails are written once and shared out over a few kept connections."""

import asyncio
from collections import deque
from collections.abc import Sequence

from bellhouse.domain.attempt import Accepted, AccountFault, Permanent, Retry, Verdict
from bellhouse.ports.clock import Clock
from bellhouse.ports.provider import Message, Report, Sheet, Trial, TrialOf
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.smtp.connect import open_session, tls_context
from bellhouse.providers.smtp.mime import mail_writer, refusal
from bellhouse.providers.smtp.replies import at_connect
from bellhouse.providers.smtp.session import Job, Session

_MAILS_PER_CONNECTION = 8
"""A second connection is opened only for more mails than this: one costs several round trips and a TLS handshake."""
_FAREWELL_S = 2.0
_VAIN_CONNECTIONS = 2
"""So many connections in a row that settle no mail end a batch's turn."""


class SmtpProvider:
    """One relay."""

    def __init__(self, config: SmtpConfig, clock: Clock) -> None:
        """Opens nothing yet. Raises ValueError where the sender's address or the certificate authority is none."""
        self._config = config
        self._sheet = config.sheet()
        self._clock = clock
        self._write = mail_writer(config)
        self._context = tls_context(config)
        self._idle: list[Session] = []
        self._turns = asyncio.Semaphore(config.connections)

    @property
    def sheet(self) -> Sheet:
        return self._sheet

    def check(self, message: Message) -> Permanent | None:
        """One address in ASCII (or with an international domain), a subject of one line, and a text."""
        return refusal(message)

    async def send(self, batch: Sequence[Message], report: Report) -> None:
        """Send all over as many of the relay's connections as the batch is worth."""
        jobs = self._jobs(batch, report)
        if not jobs:
            return
        lanes = min(self._config.connections, -(-len(jobs) // _MAILS_PER_CONNECTION))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._lane(jobs)) for _ in range(lanes)]
        if jobs:
            faults = [fault for task in tasks if (fault := task.result()) is not None]
            verdict = faults[0] if faults else Retry("every connection ended", "connect")
            while jobs:
                report(jobs.popleft().index, verdict, 0.0)

    async def try_out(self) -> Sequence[Trial]:
        """A connection of its own: greeting, EHLO, TLS and AUTH as configured, then NOOP."""
        began = self._clock.monotonic()
        session = await open_session(self._config, self._context)
        opened = self._clock.monotonic() - began
        if not isinstance(session, Session):
            of: TrialOf = "credentials" if isinstance(session, AccountFault) else "connection"
            return [Trial(of, session, opened)]
        verdict: Verdict = Accepted(code="250")
        try:
            reply = await session.command(b"NOOP")
            if reply.code != 250:
                verdict = at_connect(reply)
            await asyncio.wait([session.quit()], timeout=_FAREWELL_S)
        except ConnectionError as error:
            verdict = Retry(f"the connection ended: {error}", "connect")
        seconds = self._clock.monotonic() - began - opened
        return [Trial("credentials", Accepted(code="235"), opened), Trial("dry_call", verdict, seconds)]

    async def start(self) -> None:
        """Open one connection, so that the first batch need not wait. A failure shows at the first `send`."""
        async with self._turns:
            session = await open_session(self._config, self._context)
            if isinstance(session, Session):
                self._keep(session)

    async def stop(self) -> None:
        """Say goodbye on the connections that are idle; those in use end with their batch."""
        leaving = [session.quit() for session in self._idle]
        self._idle.clear()
        if leaving:
            await asyncio.wait(leaving, timeout=_FAREWELL_S)

    def _jobs(self, batch: Sequence[Message], report: Report) -> "deque[Job]":
        now_s = self._clock.now() // 1000
        time = asyncio.get_running_loop().time

        def settle(job: Job, verdict: Verdict) -> None:
            report(job.index, verdict, time() - job.began)

        jobs: deque[Job] = deque()
        for index, message in enumerate(batch):
            mail = self._write(message, now_s)
            if isinstance(mail, Permanent):
                report(index, mail, 0.0)
            else:
                jobs.append(Job(index, mail, settle))
        return jobs

    async def _lane(self, jobs: "deque[Job]") -> Retry | AccountFault | None:
        """Deliver until no job is left; or why this lane gave up."""
        vain, last = 0, Retry("every connection ended", "connect")
        while jobs and vain < _VAIN_CONNECTIONS:
            async with self._turns:
                kept = self._kept()
                session = kept or await open_session(self._config, self._context)
                if not isinstance(session, Session):
                    return session
                before = session.settled
                await session.deliver(jobs)
                self._keep(session)
            if session.settled > before:
                vain = 0
            elif kept is None:  # a kept connection may have died of old age
                vain += 1
                last = Retry(session.lost or last.reason, session.lost_code)
        return last if jobs else None

    def _kept(self) -> Session | None:
        oldest = asyncio.get_running_loop().time() - self._config.idle_s
        while self._idle:
            session = self._idle.pop()
            if session.lost is None and session.idle_since >= oldest:
                return session
            session.quit()
        return None

    def _keep(self, session: Session) -> None:
        if session.lost is None:
            session.idle_since = asyncio.get_running_loop().time()
            self._idle.append(session)
