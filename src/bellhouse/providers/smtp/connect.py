"""Opening a connection to a relay: TCP, greeting, EHLO, STARTTLS, EHLO again, AUTH."""

import asyncio
import ssl
from base64 import b64encode

from bellhouse.domain.attempt import AccountFault, Retry
from bellhouse.providers.smtp import replies
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.smtp.replies import Reply
from bellhouse.providers.smtp.session import Session


def tls_context(config: SmtpConfig) -> ssl.SSLContext | None:
    """How the relay's certificate is proved; None where the config wants no TLS."""
    if config.security == "none":
        return None
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.ca_pem:
        context.load_verify_locations(cadata=config.ca_pem)
    return context


async def open_session(config: SmtpConfig, context: ssl.SSLContext | None) -> Session | Retry | AccountFault:
    """A connection ready for mails, or why there is none: then nothing has been sent."""
    session = Session(config.command_timeout_s, config.dot_timeout_s, _notify(config))
    try:
        async with asyncio.timeout(config.connect_timeout_s):
            fault = await _introduce(session, config, context)
    except TimeoutError:
        fault = Retry("the relay did not answer in time", "connect")
    except (OSError, UnicodeError) as error:  # ssl.SSLError and ConnectionError are OSErrors
        fault = Retry(f"no connection: {error}", "connect")
    except asyncio.CancelledError:
        session.abort("cancelled")
        raise
    if fault is None:
        return session
    session.abort(fault.reason)
    return fault


class _Refused(Exception):
    """A step of the introduction was refused; carries the verdict."""

    def __init__(self, verdict: Retry | AccountFault) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


async def _introduce(
    session: Session, config: SmtpConfig, context: ssl.SSLContext | None
) -> Retry | AccountFault | None:
    loop = asyncio.get_running_loop()
    implicit = context if config.security == "tls" else None
    await loop.create_connection(
        lambda: session, config.host, config.port, ssl=implicit, server_hostname=config.host if implicit else None
    )
    try:
        _expect(await session.greeting(), 220)
        offers = await _ehlo(session, config)
        if config.security == "starttls" and context is not None:
            offers = await _starttls(session, config, context, offers)
        if config.username:
            await _authenticate(session, config, offers.get("AUTH"))
    except _Refused as refused:
        return refused.verdict
    session.announced(offers)
    return None


async def _ehlo(session: Session, config: SmtpConfig) -> dict[str, str]:
    """What the relay offers: words in capitals, with their parameters."""
    reply = _expect(await session.command(f"EHLO {config.helo or config.domain}".encode("ascii")), 250)
    offers = {}
    for line in reply.text.split("\n")[1:]:
        word, _, parameters = line.strip().partition(" ")
        offers[word.upper()] = parameters.strip()
    return offers


async def _starttls(
    session: Session, config: SmtpConfig, context: ssl.SSLContext, offers: dict[str, str]
) -> dict[str, str]:
    if "STARTTLS" not in offers:
        raise _Refused(AccountFault("the relay does not offer STARTTLS", "no_starttls"))
    _expect(await session.command(b"STARTTLS"), 220)
    if not session.clean:
        raise _Refused(AccountFault("bytes were slipped in behind STARTTLS", "injection"))
    loop = asyncio.get_running_loop()
    secured = await loop.start_tls(session.transport, session, context, server_hostname=config.host)
    if secured is None:
        raise ConnectionError("TLS ended at once")
    session.connection_made(secured)
    return await _ehlo(session, config)


async def _authenticate(session: Session, config: SmtpConfig, mechanisms: str | None) -> None:
    offered = set((mechanisms or "").upper().split())
    if "PLAIN" in offered:
        secret = f"\0{config.username}\0{config.password}".encode()
        _expect(await session.command(b"AUTH PLAIN " + b64encode(secret)), 235)
    elif "LOGIN" in offered:
        _expect(await session.command(b"AUTH LOGIN"), 334)
        _expect(await session.command(b64encode(config.username.encode())), 334)
        _expect(await session.command(b64encode(config.password.encode())), 235)
    else:
        raise _Refused(AccountFault("the relay offers neither AUTH PLAIN nor AUTH LOGIN", "no_auth"))


def _expect(reply: Reply, code: int) -> Reply:
    if reply.code != code:
        raise _Refused(replies.at_connect(reply))
    return reply


def _notify(config: SmtpConfig) -> str:
    return "SUCCESS,FAILURE,DELAY" if config.notify_success else "FAILURE,DELAY"
