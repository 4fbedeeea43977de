"""SMTP on the wire: pipelining, refusals, silence, drops, TLS and AUTH."""

import asyncio
import re
import ssl
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bellhouse.domain.attempt import (
    Accepted,
    AccountFault,
    Permanent,
    Retry,
    Throttled,
    TokenInvalid,
    Unknown,
    Verdict,
)
from bellhouse.domain.content import EmailContent
from bellhouse.providers.smtp.send import SmtpProvider
from bellhouse.testing.certificates import make_certificates
from bellhouse.testing.clock import ManualClock

from .relay import DROP, HANG, OFFERS, Line, Rule, config, listening, relay, send_to
from .scripted import DELIVERY, NOW, mail, numbered, push, sent


def at(command: str, reply: str) -> Rule:
    """Answer `reply` to every line that begins with `command`."""
    return lambda line: reply if line.text.startswith(command) else None


WITH = pytest.mark.parametrize("offers", [OFFERS, ()], ids=["pipelining", "one-by-one"])

TABLE: list[tuple[str, str, type[Verdict], str]] = [
    ("MAIL", "451 4.3.0 try later", Retry, "451 4.3.0"),
    ("MAIL", "550 5.7.1 sender refused", AccountFault, "550 5.7.1"),
    ("MAIL", "553 no", AccountFault, "553"),
    ("MAIL", "555 parameter", AccountFault, "555"),
    ("MAIL", "552 5.3.4 too big", Permanent, "552 5.3.4"),
    ("RCPT", "450 4.2.0 greylisted", Retry, "450 4.2.0"),
    ("RCPT", "451 4.3.0 local error", Retry, "451 4.3.0"),
    ("RCPT", "452 4.2.2 full", Retry, "452 4.2.2"),
    *(("RCPT", f"550 {code} no", TokenInvalid, f"550 {code}") for code in ("5.1.1", "5.1.2", "5.1.3", "5.1.6")),
    *(("RCPT", f"550 {code} no", TokenInvalid, f"550 {code}") for code in ("5.1.10", "5.2.1")),
    ("RCPT", "550 no such user", Permanent, "550"),
    ("RCPT", "550-5.1.1 no\r\n550 5.1.1 such user", TokenInvalid, "550 5.1.1"),
    ("RCPT", "550 4.1.1 the class is not the code's", Permanent, "550"),
    ("RCPT", "552 5.2.2 mailbox full", Retry, "552 5.2.2"),
    ("RCPT", "550 5.2.2 mailbox full", Retry, "550 5.2.2"),
    ("RCPT", "554 5.7.1 blocked using spamhaus", AccountFault, "554 5.7.1"),
    ("RCPT", "550 5.7.1 relaying denied", Permanent, "550 5.7.1"),
    ("DATA", "451 4.3.0 later", Retry, "451 4.3.0"),
    ("DATA", "503 5.5.1 no recipients", Permanent, "503 5.5.1"),
    ("DATA", "554 5.5.1 no valid recipients", Permanent, "554 5.5.1"),
    (".", "451 4.3.0 not now", Retry, "451 4.3.0"),
    (".", "454 Throttling failure: Maximum sending rate exceeded", Throttled, "454"),
    (".", "454 Throttling failure: Daily message quota exceeded", Throttled, "454"),
    (".", "554 5.6.0 content", Permanent, "554 5.6.0"),
    (".", "554 5.7.1 low reputation", AccountFault, "554 5.7.1"),
    (".", "554 Message rejected: Email address is not verified", AccountFault, "554"),
    (".", "250 2.0.0 Ok: queued as 42", Accepted, "250"),
]


@WITH
@pytest.mark.parametrize(("command", "reply", "kind", "code"), TABLE)
async def test_each_reply_has_its_verdict_and_the_next_mail_is_unharmed(
    command: str, reply: str, kind: type[Verdict], code: str, offers: tuple[str, ...]
) -> None:
    async with relay(
        lambda line: reply if line.text.startswith(command) and line.number == 0 and first(line) else None, offers
    ) as (_, port):
        seen: set[str] = set()

        def first(line: Line) -> bool:
            again = line.text.split(" ")[0] in seen
            seen.add(line.text.split(" ")[0])
            return not again

        verdicts = await send_to(port, 3)
    assert (type(verdicts[0]), verdicts[0].code) == (kind, code)
    assert [type(verdict) for verdict in verdicts[1:]] == [Accepted, Accepted]


@WITH
@pytest.mark.parametrize("end", [DROP, HANG])
async def test_only_silence_after_the_final_dot_is_unknown(end: str, offers: tuple[str, ...]) -> None:
    async with relay(lambda line: end if line.text == "." and line.connection == 1 else None, offers) as (made, port):
        verdicts = await send_to(port, 3, dot_timeout_s=0.3)
    assert [type(verdict) for verdict in verdicts] == [Unknown, Accepted, Accepted]
    assert made.connections == 2
    assert len(made.bodies) == 3


@WITH
@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("end", [DROP, HANG, "421 4.3.2 shutting down"])
async def test_a_mail_whose_body_was_not_written_goes_over_the_next_connection(
    command: str, end: str, offers: tuple[str, ...]
) -> None:
    rule: Rule = lambda line: end if line.text.startswith(command) and line.connection == 1 else None  # noqa: E731
    async with relay(rule, offers) as (made, port):
        verdicts = await send_to(port, 2, command_timeout_s=0.3)
    assert [type(verdict) for verdict in verdicts] == [Accepted, Accepted]
    assert len(made.bodies) == 2


@pytest.mark.parametrize("end", [DROP, HANG, "421 4.3.2 no"])
async def test_a_relay_that_ends_every_connection_is_left_in_peace(end: str) -> None:
    async with relay(at("MAIL", end)) as (made, port):
        verdicts = await send_to(port, 20, command_timeout_s=0.2)
    assert {type(verdict) for verdict in verdicts} == {Retry}
    assert {verdict.code for verdict in verdicts} == {"421 4.3.2" if end.startswith("421") else "connect"}
    assert made.connections <= 4
    assert made.bodies == []


async def test_a_connection_ends_after_as_many_mails_as_the_relay_likes() -> None:
    rule: Rule = lambda line: "421 4.7.0 enough" if line.text.startswith("MAIL") and line.number == 3 else None  # noqa: E731
    async with relay(rule) as (made, port):
        verdicts = await send_to(port, 10)
    assert {type(verdict) for verdict in verdicts} == {Accepted}
    assert made.connections == 4
    assert len(set(made.bodies)) == len(made.bodies) == 10


async def test_a_mailbox_providers_rate_holds_for_that_contact_only() -> None:
    async with relay(at("RCPT", "421 4.7.0 too fast for this domain")) as (_, port):
        (verdict,) = await send_to(port)
    assert isinstance(verdict, Throttled)
    assert verdict.scope == "contact"


async def test_a_greylisting_relay_is_asked_again_after_five_minutes() -> None:
    async with relay(at("RCPT", "450 4.7.1 greylisted")) as (_, port):
        (verdict,) = await send_to(port)
    assert isinstance(verdict, Retry)
    assert verdict.after_ms is not None
    assert verdict.after_ms >= 300_000


async def test_the_reply_to_the_final_dot_is_kept_for_it_holds_the_queue_id() -> None:
    async with relay() as (_, port):
        (verdict,) = await send_to(port)
    assert verdict == Accepted("2.0.0 Ok: queued as ABC", code="250")


async def test_the_next_envelope_travels_with_the_body_before_it() -> None:
    """With pipelining one round trip a mail: nothing of the next mail waits for this one's final reply."""
    order: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        await reader.readline()
        writer.write(b"250-x\r\n250 PIPELINING\r\n")
        group = await reader.readuntil(b"DATA\r\n")
        order.append(" ".join(line.split(b" ")[0].decode() for line in group.split(b"\r\n")[:-1]))
        writer.write(b"250 a\r\n250 b\r\n354 go\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        behind = await reader.readuntil(b"DATA\r\n")
        order.append(" ".join(line.split(b" ")[0].decode() for line in behind.split(b"\r\n")[:-1]))
        writer.write(b"250 dot\r\n250 a\r\n250 b\r\n354 go\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        order.append((await _rest(reader)).decode())
        writer.write(b"250 dot\r\n")
        await reader.read()

    async with listening(serve) as port:
        verdicts = await send_to(port, 2)
    assert [type(verdict) for verdict in verdicts] == [Accepted, Accepted]
    assert order == ["MAIL RCPT DATA", "MAIL RCPT DATA", ""]


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """What has come already and not been read."""
    buffer: bytearray = reader._buffer  # type: ignore[attr-defined]  # the stream has no public way to look
    return bytes(buffer)


async def test_without_pipelining_every_command_waits_for_its_reply() -> None:
    inside = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal inside
        writer.write(b"220 x\r\n")
        for reply in (b"250 x", b"250 a", b"250 b", b"354 go"):
            await reader.readline()
            inside = max(inside, len(await _rest(reader)))
            writer.write(reply + b"\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 dot\r\n")
        await reader.read()

    async with listening(serve) as port:
        (verdict,) = await send_to(port)
    assert isinstance(verdict, Accepted)
    assert inside == 0


async def test_a_relay_that_wants_a_body_for_a_refused_envelope_gets_an_empty_one() -> None:
    first = iter([True])
    rule: Rule = lambda line: "550 5.1.1 no" if line.text.startswith("RCPT") and next(first, False) else None  # noqa: E731
    async with relay(rule) as (made, port):
        verdicts = await send_to(port, 2)
    assert [type(verdict) for verdict in verdicts] == [TokenInvalid, Accepted]
    assert made.bodies[0] == b".\r\n"
    assert "RSET" in made.words()


async def test_the_envelope_names_the_delivery_and_asks_for_reports() -> None:
    async with relay() as (made, port):
        provider = SmtpProvider(config(port), ManualClock(NOW))
        await sent(provider, mail(attempt=2))
        await provider.stop()
    size = len(made.bodies[0])
    lines = [line.text for line in made.heard if line.text.startswith(("MAIL", "RCPT"))]
    assert lines == [
        f"MAIL FROM:<bounce+{DELIVERY.hex()}@bell.example> SIZE={size} RET=HDRS ENVID={DELIVERY.hex()}-2",
        "RCPT TO:<zoe@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;zoe@example.com",
    ]


async def test_a_mail_larger_than_the_relay_takes_is_not_offered() -> None:
    async with relay(offers=("PIPELINING", "SIZE 300")) as (made, port):
        verdicts = await send_to(port, 2)
    assert [verdict.code for verdict in verdicts] == ["too_large", "too_large"]
    assert "MAIL" not in made.words()


async def test_connections_are_kept_between_batches_and_replaced_when_they_die() -> None:
    async with relay(lambda line: DROP if line.text == "NOOP" else None) as (made, port):
        provider = SmtpProvider(config(port), ManualClock(NOW))
        await provider.start()
        for _ in range(3):
            await sent(provider, mail())
        assert made.connections == 1
        provider._idle[0].transport.abort()
        assert isinstance((await sent(provider, mail()))[0], Accepted)
        assert made.connections == 2
        await provider.stop()
        await provider.stop()


async def test_a_batch_is_shared_out_over_several_connections() -> None:
    async with relay() as (made, port):
        verdicts = await send_to(port, 40, connections=4)
    assert {type(verdict) for verdict in verdicts} == {Accepted}
    assert len(made.bodies) == len(set(made.bodies)) == 40
    assert made.connections == 4


async def test_batches_at_once_share_the_connections() -> None:
    async with relay() as (made, port):
        provider = SmtpProvider(config(port, connections=2), ManualClock(NOW))
        batches = await asyncio.gather(*(sent(provider, *numbered(mail(), 30)) for _ in range(4)))
        await provider.stop()
    assert {type(verdict) for batch in batches for verdict in batch} == {Accepted}
    assert made.connections <= 2


@pytest.mark.parametrize(
    ("greeting", "kind", "code"),
    [
        ("554 5.7.1 go away", AccountFault, "554 5.7.1"),
        ("421 4.3.2 later", Retry, "421 4.3.2"),
        ("450 later", Retry, "450"),
        ("SSH-2.0-OpenSSH", Retry, "connect"),
        (DROP, Retry, "connect"),
        (HANG, Retry, "connect"),
        ("220 " + "x" * 10_000, Retry, "connect"),
    ],
)
async def test_a_relay_that_does_not_welcome_us_gets_nothing(greeting: str, kind: type[Verdict], code: str) -> None:
    async with relay(greeting=greeting) as (_, port):
        verdicts = await send_to(port, 3, connect_timeout_s=0.3)
    assert {(type(verdict), verdict.code) for verdict in verdicts} == {(kind, code)}


async def test_where_nobody_listens_nothing_is_sent() -> None:
    async with relay() as (_, port):
        pass
    (verdict,) = await send_to(port)
    assert (type(verdict), verdict.code) == (Retry, "connect")


async def test_replies_out_of_step_end_the_connection() -> None:
    async with relay(lambda line: "354 what" if line.text.startswith("MAIL") and line.connection == 1 else None) as (
        made,
        port,
    ):
        (verdict,) = await send_to(port)
    assert isinstance(verdict, Accepted)
    assert made.connections == 2


async def test_an_unlawful_reply_after_the_dot_is_unknown() -> None:
    async with relay(at(".", "354 what")) as (_, port):
        (verdict,) = await send_to(port)
    assert isinstance(verdict, Unknown)


async def test_a_cancelled_batch_leaves_no_connection_in_the_pool() -> None:
    async with relay(at(".", HANG)) as (made, port):
        provider = SmtpProvider(config(port, dot_timeout_s=60), ManualClock(NOW))
        task = asyncio.create_task(provider.send([mail()], lambda _i, _v, _s: None))
        while not made.bodies:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert provider._idle == []
        await provider.stop()


async def test_what_is_no_mail_is_refused_without_a_word() -> None:
    async with relay() as (made, port):
        provider = SmtpProvider(config(port), ManualClock(NOW))
        batch = [push(), mail("a@b\r\nRCPT TO:<evil@example.com>"), mail(content=EmailContent("s", "\ud800")), mail()]
        verdicts = await sent(provider, *batch)
        await provider.stop()
    assert [type(verdict) for verdict in verdicts] == [Permanent, Permanent, Permanent, Accepted]
    assert made.words().count("MAIL") == 1


# Replies of every kind, in every order: never lost, never doubled.

replies = st.sampled_from(
    [
        "250 ok",
        "354 go",
        "421 4.3.2 bye",
        "421 4.7.0 bye",
        "450 4.7.1 x",
        "452 x",
        "550 5.1.1 x",
        "554 5.7.1 x",
        "999 x",
        "",
        DROP,
    ]
)


@given(st.lists(replies | st.none() | st.none(), min_size=1, max_size=30), st.sampled_from([OFFERS, ()]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_no_relay_makes_a_mail_be_reported_twice_or_not_at_all(
    script: list[str | None], offers: tuple[str, ...]
) -> None:
    told = iter(script)
    lines = ("MAIL", "RCPT", "DATA", ".", "RSET")
    async with relay(lambda line: next(told, None) if line.text.startswith(lines) else None, offers) as (made, port):
        verdicts = await send_to(port, 4, command_timeout_s=0.2, dot_timeout_s=0.2)
    taken = [verdict for verdict in verdicts if isinstance(verdict, Accepted | Unknown)]
    assert len(made.bodies) - made.bodies.count(b".\r\n") >= len([v for v in taken if isinstance(v, Accepted)])


# TLS and AUTH, against aiosmtpd.


class Box:
    """Keeps the mails that aiosmtpd took."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.users: list[bytes] = []

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        assert session.ssl is not None
        return "250 2.0.0 taken"

    def allow(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login)
        return AuthResult(success=data.password == b"secret", handled=False)


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    made = make_certificates()
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    chain.write_bytes(made.chain_pem)
    key.write_bytes(made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context, made.ca_pem.decode()


async def test_a_relay_with_starttls_and_auth_takes_our_mail(authority: tuple[ssl.SSLContext, str]) -> None:
    context, ca = authority
    box = Box()
    loop = asyncio.get_running_loop()

    def talk() -> SMTP:
        return SMTP(
            box, tls_context=context, require_starttls=True, authenticator=box.allow, auth_required=True, loop=loop
        )

    server = await loop.create_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    known = {"security": "starttls", "username": "bell", "ca_pem": ca, "host": "localhost"}
    verdicts = await send_to(port, 5, password="secret", **known)
    wrong = await send_to(port, 1, password="wrong", **known)
    stranger = await send_to(port, 1, password="secret", **known | {"ca_pem": make_certificates().ca_pem.decode()})
    server.close()
    assert [type(verdict) for verdict in verdicts] == [Accepted] * 5
    assert (type(wrong[0]), wrong[0].code[:3]) == (AccountFault, "535")
    assert type(stranger[0]) is Retry
    parsed = message_from_bytes(box.taken[0].original_content or b"")
    assert re.fullmatch(r"<[0-9a-f-]{36}@bell\.example>", parsed["Message-ID"])
    assert box.users == [b"bell", b"bell"]


async def test_a_relay_without_starttls_gets_neither_password_nor_mail() -> None:
    async with relay() as (made, port):
        (verdict,) = await send_to(port, security="starttls", username="bell", password="secret")
    assert (type(verdict), verdict.code) == (AccountFault, "no_starttls")
    assert made.words() == ["EHLO"]


async def test_bytes_behind_starttls_are_an_injection() -> None:
    rule = at("STARTTLS", "220 go ahead\r\n250 injected")
    async with relay(rule, ("STARTTLS",)) as (_, port):
        (verdict,) = await send_to(port, security="starttls")
    assert isinstance(verdict, AccountFault | Retry)


@pytest.mark.parametrize(
    ("offer", "reply", "code"),
    [("AUTH PLAIN LOGIN", "535 5.7.8 bad", "535 5.7.8"), ("AUTH CRAM-MD5", "", "no_auth"), ("HELP", "", "no_auth")],
)
async def test_credentials_that_are_not_taken_are_an_account_fault(offer: str, reply: str, code: str) -> None:
    async with relay(at("AUTH", reply), ("PIPELINING", offer)) as (_, port):
        (verdict,) = await send_to(port, username="bell", password="x")
    assert (type(verdict), verdict.code) == (AccountFault, code)


async def test_a_relay_that_knows_auth_login_only_is_spoken_to_so() -> None:
    answers = {"AUTH LOGIN": "334 VXNlcm5hbWU6", "YmVsbA==": "334 UGFzc3dvcmQ6", "c2VjcmV0": "235 ok"}
    async with relay(lambda line: answers.get(line.text), ("AUTH LOGIN",)) as (_, port):
        (verdict,) = await send_to(port, username="bell", password="secret")
    assert isinstance(verdict, Accepted)
