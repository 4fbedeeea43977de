"""One SMTP connection, server side (RFC 5321, 2920, 3207, 4954): commands in, reply lines out."""

import asyncio
import binascii
import re
import ssl
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import cast

from bellhouse.simulator.clock import monotonic
from bellhouse.simulator.dsn import REPORTING_MTA
from bellhouse.simulator.http1 import IDLE_PATIENCE_S
from bellhouse.simulator.roster import Roster
from bellhouse.simulator.smtp import SIZE_LIMIT, TOO_MANY, UNAVAILABLE, Mail, Relay
from bellhouse.simulator.wheel import run_safely
from bellhouse.simulator.wire import Reply, ReplyHead

_LINE_LIMIT = 4096
_BAD_COMMANDS_FORGIVEN = 20
_RECIPIENT_LIMIT = 1000
_PATH = re.compile(rb"^(?:FROM|TO):\s*<([^<>\r\n]{0,320})>\s*(.*)$", re.I)
_MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "RET", "ENVID", "AUTH"})
_END_OF_DATA = b"\r\n.\r\n"

Command = Callable[[bytes], None]


class SmtpSession(asyncio.Protocol):
    """A connection; it is itself the `Exchange` of the mail it carries."""

    def __init__(self, relay: Relay, roster: Roster, tls: ssl.SSLContext) -> None:
        self._relay = relay
        self._roster = roster
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._touched = 0.0
        self._secure = False
        self._authenticated = False
        self._waiting = False  # for a reply of ours that comes later
        self._hung = False
        self._reading_data = False
        self._scanned = 0
        self._challenge: Command | None = None
        self._mail: Mail | None = None
        self._mails = 0
        self._mistakes = 0
        self._upgrade: asyncio.Task[None] | None = None
        self._commands: dict[bytes, Command] = {
            b"EHLO": self._ehlo,
            b"HELO": self._helo,
            b"STARTTLS": self._starttls,
            b"AUTH": self._auth,
            b"MAIL": self._mail_from,
            b"RCPT": self._rcpt_to,
            b"DATA": self._data,
            b"RSET": self._rset,
            b"NOOP": self._noop,
            b"VRFY": self._vrfy,
            b"QUIT": self._quit,
        }

    # -- the connection ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses of it
        self._touched = monotonic()
        if not self._roster.admit(self):
            self._transport.abort()
            return
        outage = self._relay.dials.outage
        refusal = UNAVAILABLE if outage == "503" else self._relay.error_at("greeting_")
        if outage == "hang":
            self._hung = True
        elif refusal is not None:
            self._close_with(refusal[0])
        else:
            self._say(f"220 {REPORTING_MTA} ESMTP simulator")
        self._flush()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._roster.leave(self)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float) -> bool:
        """Whether the peer has been silent for five minutes (RFC 5321, 4.5.3.2.7)."""
        return not self._waiting and not self._hung and now - self._touched > IDLE_PATIENCE_S

    def data_received(self, data: bytes) -> None:
        self._touched = monotonic()
        if self._hung or self._upgrade is not None:
            return
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        while self._buffer and not self._waiting and not self._hung and self._transport is not None:
            if not (self._take_message() if self._reading_data else self._take_line()):
                break
        self._flush()

    def _say(self, line: str) -> None:
        self._out.append(line.encode() + b"\r\n")

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(b"".join(out))

    def _close_with(self, line: str) -> None:
        self._say(line)
        self._flush()
        self.drop()

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\r\n", 0, _LINE_LIMIT)
        if end < 0:
            if len(self._buffer) >= _LINE_LIMIT:
                self._close_with("500 5.5.2 Line too long")
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        run_safely(self._obey, line)
        return True

    def _obey(self, line: bytes) -> None:
        challenge, self._challenge = self._challenge, None
        if challenge is not None:
            challenge(line)
            return
        verb, _, rest = line.partition(b" ")
        command = self._commands.get(verb.upper())
        if command is None:
            self._mistake("500 5.5.2 Command not recognized")
        else:
            command(rest.strip())

    def _mistake(self, line: str) -> None:
        self._mistakes += 1
        if self._mistakes > _BAD_COMMANDS_FORGIVEN:
            self._close_with("421 4.7.0 Too many errors")
        else:
            self._say(line)

    # -- commands ---------------------------------------------------------------------------------------------

    def _offers(self, extension: str) -> bool:
        return extension not in self._relay.dials.hidden_extensions

    def _ehlo(self, _name: bytes) -> None:
        self._mail = None
        menu = [f"{REPORTING_MTA} at your service", "ENHANCEDSTATUSCODES", "DSN"]
        menu += [each for each in ("PIPELINING", "8BITMIME") if self._offers(each)]
        if self._offers("SIZE"):
            menu.append(f"SIZE {SIZE_LIMIT}")
        if self._offers("STARTTLS") and not self._secure:
            menu.append("STARTTLS")
        elif self._offers("AUTH"):
            menu.append("AUTH PLAIN LOGIN")
        for line in menu[:-1]:
            self._say(f"250-{line}")
        self._say(f"250 {menu[-1]}")

    def _helo(self, _name: bytes) -> None:
        self._mail = None
        self._say(f"250 {REPORTING_MTA}")

    def _starttls(self, _rest: bytes) -> None:
        if self._secure or not self._offers("STARTTLS"):
            self._mistake("503 5.5.1 TLS not available now")
            return
        self._say("220 2.0.0 Ready to start TLS")
        self._flush()
        # What came in clear text after STARTTLS may be an attacker's: it is dropped (RFC 3207, 6).
        self._buffer.clear()
        self._mail = None
        self._authenticated = False
        self._upgrade = asyncio.get_running_loop().create_task(self._start_tls())

    async def _start_tls(self) -> None:
        loop, transport = asyncio.get_running_loop(), self._transport
        if transport is None:
            return
        try:
            secure = await loop.start_tls(transport, self, self._tls, server_side=True, ssl_handshake_timeout=15)
        except (OSError, ssl.SSLError):
            transport.abort()
            return
        self._transport = secure
        self._secure = True
        self._upgrade = None

    def _auth(self, rest: bytes) -> None:
        if not self._secure and self._offers("STARTTLS"):
            self._say("530 5.7.0 Must issue a STARTTLS command first")
            return
        refusal = self._relay.error_at("auth_")
        if refusal is not None:
            self._say(refusal[0])
            return
        mechanism, _, initial = rest.partition(b" ")
        match mechanism.upper(), initial:
            case b"PLAIN", b"":
                self._ask("", self._auth_plain)
            case b"PLAIN", _:
                self._auth_plain(initial)
            case b"LOGIN", b"":
                self._ask("VXNlcm5hbWU6", self._auth_user)
            case b"LOGIN", _:
                self._auth_user(initial)
            case _:
                self._say("504 5.5.4 Mechanism not supported")

    def _ask(self, prompt: str, answer: Command) -> None:
        self._say(f"334 {prompt}")
        self._challenge = answer

    def _auth_plain(self, line: bytes) -> None:
        self._welcome(self._relay.login(line))

    def _auth_user(self, line: bytes) -> None:
        self._ask("UGFzc3dvcmQ6", lambda password: self._auth_password(line, password))

    def _auth_password(self, user: bytes, password: bytes) -> None:
        try:
            known = self._relay.password_is(b64decode(user), b64decode(password))
        except binascii.Error:
            known = False
        self._welcome(known)

    def _welcome(self, known: bool) -> None:
        self._authenticated = known
        if known:
            self._say("235 2.7.0 Authentication successful")
        else:
            self._mistake("535 5.7.8 Authentication credentials invalid")

    def _mail_from(self, rest: bytes) -> None:
        if self._mail is not None:
            self._mistake("503 5.5.1 Nested MAIL command")
        elif not self._authenticated and self._offers("AUTH"):
            self._say("530 5.7.0 Authentication required")
        elif (match := _PATH.match(rest)) is None:
            self._mistake("501 5.5.4 Syntax: MAIL FROM:<address>")
        else:
            self._begin(match[1].decode("utf-8", "replace"), match[2].decode("ascii", "replace"))

    def _begin(self, sender: str, parameters: str) -> None:
        given = dict(_parameter(word) for word in parameters.split())
        size = given.get("SIZE", "0")
        if not given.keys() <= _MAIL_PARAMETERS:
            self._say("555 5.5.4 MAIL parameter not recognized")
        elif size.isdigit() and int(size[:12]) > SIZE_LIMIT:
            self._relay.refuse_mail(Mail(sender, "", None), "permanent")
            self._say("552 5.3.4 Message size exceeds fixed limit")
        elif not self._outage(sender):
            mail, refusal = self._relay.begin(sender, given.get("ENVID", ""))
            if refusal is None:
                self._mail = mail
                self._mails += 1
                self._say("250 2.1.0 Ok")
            else:
                self._refuse(refusal[0])

    def _outage(self, sender: str) -> bool:
        """Whether this connection, opened in better times, ends here."""
        dials = self._relay.dials
        if dials.outage == "hang":
            self._hung = True
            return True
        worn = dials.mails_per_connection and self._mails >= dials.mails_per_connection
        if dials.outage != "503" and not worn:
            return False
        self._relay.refuse_mail(Mail(sender, "", None), "retry")
        self._close_with(TOO_MANY[0] if worn else UNAVAILABLE[0])
        return True

    def _refuse(self, line: str) -> None:
        if line.startswith("421"):
            self._close_with(line)
        else:
            self._say(line)

    def _rcpt_to(self, rest: bytes) -> None:
        mail, match = self._mail, _PATH.match(rest)
        if mail is None:
            self._mistake("503 5.5.1 Need MAIL before RCPT")
        elif match is None or b"@" not in match[1]:
            self._say("501 5.1.3 Bad recipient address syntax")
        elif len(mail.recipients) >= _RECIPIENT_LIMIT:
            self._say("452 4.5.3 Too many recipients")
        else:
            refusal = self._relay.recipient(mail, match[1].decode("utf-8", "replace"))
            self._refuse(refusal or "250 2.1.5 Ok")

    def _data(self, _rest: bytes) -> None:
        mail = self._mail
        if mail is None:
            self._mistake("503 5.5.1 Need MAIL before DATA")
        elif not mail.recipients:
            self._mail = None
            self._say("554 5.5.1 No valid recipients")
        elif (refusal := self._relay.data(mail)) is not None:
            self._mail = None
            self._refuse(refusal)
        else:
            self._say("354 End data with <CR><LF>.<CR><LF>")
            self._reading_data, self._scanned = True, 0

    def _take_message(self) -> bool:
        """Take the mail once its end has come: a dot alone on a line, CRLF only."""
        if self._scanned == 0 and self._buffer.startswith(b".\r\n"):
            end, size = 0, 3
        else:
            end, size = self._buffer.find(_END_OF_DATA, max(0, self._scanned - 4)), len(_END_OF_DATA)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > 2 * SIZE_LIMIT:
                self._close_with("552 5.3.4 Message too big for system")
            return False
        message = bytes(self._buffer[: end + 2 if end else 0])
        del self._buffer[: end + size]
        mail, self._mail = self._mail, None
        self._reading_data = False
        if mail is not None:
            self._waiting = True
            run_safely(self._relay.finish, mail, message, self)
        return True

    def _rset(self, _rest: bytes) -> None:
        self._mail = None
        self._say("250 2.0.0 Ok")

    def _noop(self, _rest: bytes) -> None:
        self._say("250 2.0.0 Ok")

    def _vrfy(self, _rest: bytes) -> None:
        self._say("252 2.1.5 Cannot verify, but will take the message")

    def _quit(self, _rest: bytes) -> None:
        self._close_with("221 2.0.0 Bye")

    # -- the exchange of the mail in hand ---------------------------------------------------------------------

    def reply(self, reply: Reply) -> bool:
        """Answer the final dot; False if the sender has gone."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        self._waiting = False
        self._out.append(reply.body)
        if reply.body.startswith(b"421"):
            self._flush()
            self.drop()
        elif self._buffer:
            asyncio.get_running_loop().call_soon(self._advance)
        self._flush()
        return True

    def stream(self, head: ReplyHead, chunks: Iterator[bytes]) -> None:
        """Send the pieces as one reply."""
        self.reply(Reply(head, b"".join(chunks)))

    def drop(self) -> None:
        """Close without (another) word."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def refuse(self) -> None:
        """Cut the connection."""
        self.abort()


def _parameter(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name.upper(), value
