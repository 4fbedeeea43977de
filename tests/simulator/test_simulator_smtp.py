"""SMTP over the wire: submission, refusals per command, the final dot, bounces."""

import contextlib
import email
import email.policy
import smtplib
import socket
import ssl
from collections.abc import Iterator

import pytest

from bellhouse.simulator.smtp import ERRORS

from .outside import DELIVERY, Outside, Receiver, eventually

SENDER = f"bounce+{DELIVERY.replace('-', '')}@mail.example.com"
MESSAGE = (
    f"Message-ID: <{DELIVERY}@mail.example.com>\r\nSubject: Hello\r\nX-Bellhouse-Attempt: 2\r\n\r\nHello,\r\n.dots\r\n"
)


@contextlib.contextmanager
def session(outside: Outside, login: bool = True) -> Iterator[smtplib.SMTP]:
    known = outside.known["smtp"]
    with contextlib.closing(smtplib.SMTP(known["host"], known["port"], timeout=10)) as smtp:
        if login:
            smtp.starttls(context=ssl.create_default_context(cadata=outside.known["ca_pem"]))
            smtp.login(known["username"], known["password"])
        yield smtp


def send(smtp: smtplib.SMTP, *to: str, sender: str = SENDER) -> dict:
    return smtp.sendmail(sender, list(to) or ["ann@example.org"], MESSAGE)


def test_the_menu_offers_what_a_relay_offers(outside: Outside):
    with session(outside, login=False) as smtp:
        smtp.ehlo()
        assert {"pipelining", "starttls", "size", "8bitmime"} <= set(smtp.esmtp_features)
        smtp.starttls(context=ssl.create_default_context(cadata=outside.known["ca_pem"]))
        smtp.ehlo()
        assert "starttls" not in smtp.esmtp_features
        assert smtp.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]


def test_a_hidden_extension_is_not_offered(outside: Outside):
    outside.client.put_dials("smtp", hidden_extensions=["PIPELINING"])
    with session(outside, login=False) as smtp:
        smtp.ehlo()
        assert "pipelining" not in smtp.esmtp_features


def test_a_mail_is_taken_and_leaves_a_receipt(outside: Outside):
    with session(outside) as smtp:
        assert send(smtp) == {}
    (row,) = outside.client.receipts()
    assert (row["provider"], row["verdict"], row["to"]) == ("smtp", "accepted", "ann@example.org")
    assert (row["delivery_id"], row["attempt"]) == (DELIVERY, 2)


def test_the_ids_are_found_in_the_message_id_when_the_return_path_has_none(outside: Outside):
    with session(outside) as smtp:
        send(smtp, sender="shop@example.com")
    assert next(outside.client.receipts())["delivery_id"] == DELIVERY


def test_several_mails_share_a_connection(outside: Outside):
    with session(outside) as smtp:
        for _ in range(3):
            send(smtp)
    assert outside.client.summary()["repeats"] == 2


def test_nothing_is_sent_without_login(outside: Outside):
    with session(outside, login=False) as smtp, pytest.raises(smtplib.SMTPSenderRefused) as caught:
        send(smtp)
    assert caught.value.smtp_code == 530


def test_a_wrong_password_is_refused(outside: Outside):
    with session(outside, login=False) as smtp:
        smtp.starttls(context=ssl.create_default_context(cadata=outside.known["ca_pem"]))
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login(outside.known["smtp"]["username"], "wrong")


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_both_mechanisms_work(outside: Outside, mechanism):
    known = outside.known["smtp"]
    with session(outside, login=False) as smtp:
        smtp.starttls(context=ssl.create_default_context(cadata=outside.known["ca_pem"]))
        smtp.ehlo()
        smtp.user, smtp.password = known["username"], known["password"]
        code, _ = smtp.auth(mechanism[5:].upper(), getattr(smtp, mechanism))
        assert code == 235


def test_a_dead_address_is_refused_and_the_others_are_served(outside: Outside):
    outside.client.put_dials("smtp", dead_tokens=["dead@example.org"])
    with session(outside) as smtp:
        refused = send(smtp, "dead@example.org", "ann@example.org")
    assert refused["dead@example.org"][0] == 550
    assert outside.verdicts() == ["token_invalid", "accepted"]


@pytest.mark.parametrize("name", sorted(name for name in ERRORS if not name.startswith(("greeting", "auth"))))
def test_each_refusal_comes_at_its_command(outside: Outside, name):
    line, verdict = ERRORS[name]
    outside.client.put_dials("smtp", errors={name: 1})
    with session(outside) as smtp, pytest.raises(smtplib.SMTPException) as caught:
        send(smtp)
    kinds = {
        "mail": smtplib.SMTPSenderRefused,
        "rcpt": smtplib.SMTPRecipientsRefused,
        "data": smtplib.SMTPDataError,
        "dot": smtplib.SMTPDataError,
    }
    assert isinstance(caught.value, kinds[name.split("_")[0]])
    assert line[:3] in str(caught.value)
    assert outside.verdicts() == [verdict]


def test_a_greeting_may_be_a_refusal(outside: Outside):
    outside.client.put_dials("smtp", errors={"greeting_421": 1})
    with pytest.raises(smtplib.SMTPConnectError), session(outside):
        pass


def test_a_lost_answer_at_the_dot_closes_the_connection(outside: Outside):
    outside.client.put_dials("smtp", lost_answers=1)
    with session(outside) as smtp, pytest.raises(smtplib.SMTPServerDisconnected):
        send(smtp)
    assert outside.verdicts() == ["accepted_answer_lost"]


def test_the_greylist_lets_the_second_try_pass(outside: Outside):
    outside.client.put_dials("smtp", greylist_ms=20)
    with session(outside) as smtp:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            send(smtp)
        assert caught.value.recipients["ann@example.org"][0] == 451

        def passes() -> bool:
            with contextlib.suppress(smtplib.SMTPRecipientsRefused):
                return send(smtp) == {}
            return False

        eventually(passes)


def test_a_connection_is_worn_out_after_its_mails(outside: Outside):
    outside.client.put_dials("smtp", mails_per_connection=2)
    with session(outside) as smtp:
        send(smtp)
        send(smtp)
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            send(smtp)
    assert caught.value.smtp_code == 421


def test_the_throttle_is_a_454(outside: Outside):
    outside.client.put_dials("smtp", throttle={"rate_per_second": 0.001})
    with session(outside) as smtp:
        send(smtp)
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            send(smtp)
    assert caught.value.smtp_code == 454
    assert outside.verdicts() == ["accepted", "throttled"]


def raw(outside: Outside) -> socket.socket:
    known = outside.known["smtp"]
    return socket.create_connection((known["host"], known["port"]), timeout=10)


def read_lines(connection: socket.socket, count: int) -> list[bytes]:
    data = b""
    while data.count(b"\r\n") < count:
        more = connection.recv(65536)
        if not more:
            break
        data += more
    return data.split(b"\r\n")[:-1]


def test_pipelined_commands_are_answered_in_order(outside: Outside):
    outside.client.put_dials("smtp", hidden_extensions=["AUTH"], dead_tokens=["b@example.org"])
    with raw(outside) as connection:
        read_lines(connection, 1)
        mail = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
        connection.sendall(mail.encode())
        assert [line[:3] for line in read_lines(connection, 4)] == [b"250", b"250", b"550", b"354"]
        connection.sendall(b"Subject: x\r\n\r\nx\r\n.\r\n" + mail.encode())
        assert [line[:3] for line in read_lines(connection, 5)] == [b"250", b"250", b"250", b"550", b"354"]


def test_a_dot_needs_both_line_ends(outside: Outside):
    outside.client.put_dials("smtp", hidden_extensions=["AUTH"])
    with raw(outside) as connection:
        read_lines(connection, 1)
        connection.sendall(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n".encode())
        read_lines(connection, 3)
        connection.sendall(b"x\n.\nMAIL FROM:<evil@example.org>\n")
        connection.sendall(b"\r\n.\r\n")
        assert read_lines(connection, 1)[0].startswith(b"250 2.0.0")
    assert outside.client.summary()["total"] == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"NONSENSE", b"500"),
        (b"\xff\xfe", b"500"),
        (b"MAIL FROM:nobody", b"501"),
        (b"MAIL FROM:<a@b.c> FOO=1", b"555"),
        (b"MAIL FROM:<a@b.c> SIZE=99999999999", b"552"),
        (b"RCPT TO:<a@b.c>", b"503"),
        (b"DATA", b"503"),
        (b"NOOP", b"250"),
        (b"VRFY x", b"252"),
        (b"QUIT", b"221"),
        (b"x" * 5000, b"500"),
    ],
)
def test_every_command_gets_its_reply(outside: Outside, line, code):
    outside.client.put_dials("smtp", hidden_extensions=["AUTH"])
    with raw(outside) as connection:
        read_lines(connection, 1)
        connection.sendall(line + b"\r\n")
        assert read_lines(connection, 1)[0][:3] == code


@pytest.mark.parametrize(
    ("fate", "action", "status"),
    [("bounce", "failed", "5.1.1"), ("mailbox_full", "failed", "5.2.2"), ("delayed", "delayed", "4.4.1")],
)
def test_a_bounce_is_posted_as_a_delivery_status_notification(
    outside: Outside, account: Receiver, fate, action, status
):
    outside.client.put_dials("smtp", callback_failures={fate: 1})
    with session(outside) as smtp:
        send(smtp)
    (received,) = account.wait_for(1)
    assert received.path == "/callbacks/smtp"
    assert received.headers["content-type"] == "message/rfc822"
    assert received.headers["authorization"] == f"Bearer {outside.known['smtp']['dsn_secret']}"
    report = email.message_from_bytes(received.body, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report"
    assert report["to"] == SENDER
    _, machine, original = report.iter_parts()
    _, recipient = machine.get_payload()
    assert (recipient["action"], recipient["status"]) == (action, status)
    assert "ann@example.org" in recipient["final-recipient"]
    assert f"<{DELIVERY}@mail.example.com>" in original.get_payload()


def test_a_complaint_is_posted_as_a_feedback_report(outside: Outside, account: Receiver):
    outside.client.put_dials("smtp", callback_failures={"complaint": 1})
    with session(outside) as smtp:
        send(smtp)
    report = email.message_from_bytes(account.wait_for(1)[0].body)
    assert report.get_param("report-type") == "feedback-report"
