"""Contract tests: each provider against the simulator, written from the vendors' pages without knowing ours."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from bellhouse.adapters.clock import SystemClock
from bellhouse.adapters.transport.pyreqwest import PyreqwestTransport, TransportConfig
from bellhouse.domain.attempt import Accepted, AccountFault, Unknown, Verdict, name_of
from bellhouse.domain.ids import delivery_id, new_notification_ids
from bellhouse.ports.provider import CallbackReader, CallbackRequest, HasBalance, Message, News, Provider, Tries
from bellhouse.providers.fcm.callback import FcmReceipts
from bellhouse.providers.fcm.config import FcmConfig
from bellhouse.providers.fcm.send import FcmProvider
from bellhouse.providers.sendgrid.callback import SendGridEvents
from bellhouse.providers.sendgrid.config import SendGridConfig
from bellhouse.providers.sendgrid.send import SendGridProvider
from bellhouse.providers.smtp.callback import SmtpReports
from bellhouse.providers.smtp.config import SmtpConfig
from bellhouse.providers.smtp.send import SmtpProvider
from bellhouse.providers.twilio.callback import TwilioCallbacks
from bellhouse.providers.twilio.config import TwilioConfig
from bellhouse.providers.twilio.send import TwilioProvider
from bellhouse.providers.vonage.callback import VonageCallbacks
from bellhouse.providers.vonage.config import VonageConfig
from bellhouse.providers.vonage.send import VonageProvider
from bellhouse.simulator import fcm, sendgrid, smtp, twilio, vonage
from tests.simulator.outside import Outside, Receiver

from .scripted import mail, push, sent, sms

NAMES = ["fcm", "sendgrid", "smtp", "twilio", "vonage"]
MESSAGE: dict[str, Callable[[], Message]] = {"fcm": push, "sendgrid": mail, "smtp": mail, "twilio": sms, "vonage": sms}
SECRET = b"0123456789abcdef"


def message_for(name: str) -> Message:
    """A message for a delivery of now, so that its age is plausible to everybody."""
    now = time.time_ns() // 1_000_000
    identifier = delivery_id(new_notification_ids(now, 1)[0], 1)
    return msgspec.structs.replace(MESSAGE[name](), delivery_id=identifier, attempt=2)


def _http(world: Outside, name: str, url: str | None = None) -> PyreqwestTransport:
    base = url or world.known[name]["base_url"]
    ca = world.known["ca_pem"].encode()
    return PyreqwestTransport(TransportConfig(base, http2=base.startswith("https"), ca_pem=ca))


def _made(name: str, world: Outside, receiver: Receiver) -> tuple[Provider, CallbackReader]:
    known, clock = world.known[name], SystemClock()
    match name:
        case "fcm":
            config = FcmConfig.from_service_account(msgspec.json.encode(known["service_account"]), SECRET)
            origin = known["token_url"].removesuffix("/token")
            provider = FcmProvider(config, _http(world, name), _http(world, name, origin), clock)
            return provider, FcmReceipts(config)
        case "sendgrid":
            mailer = SendGridConfig(known["api_key"], "bell@example.com", verification_key=known["webhook_public_key"])
            return SendGridProvider(mailer, _http(world, name), clock), SendGridEvents(mailer)
        case "twilio":
            account = TwilioConfig(
                known["account_sid"],
                known["auth_token"],
                known["from"],
                callback_url=f"{receiver.url}/callbacks/twilio",
            )
            return TwilioProvider(account, _http(world, name), clock), TwilioCallbacks(account)
        case "vonage":
            key = VonageConfig(
                known["api_key"],
                known["api_secret"],
                known["from"],
                known["signature_secret"],
                callback_url=f"{receiver.url}/callbacks/vonage",
            )
            return VonageProvider(key, _http(world, name), clock), VonageCallbacks(key)
        case _:
            relay = SmtpConfig(
                known["host"],
                "bell@example.com",
                "bell.example",
                known["port"],
                username=known["username"],
                password=known["password"],
                ca_pem=world.known["ca_pem"],
                dsn_secret=known["dsn_secret"],
                notify_success=True,
                dot_timeout_s=1.0,
            )
            return SmtpProvider(relay, clock), SmtpReports(relay)


@asynccontextmanager
async def account(name: str, world: Outside, receiver: Receiver) -> AsyncIterator[tuple[Provider, CallbackReader]]:
    """A provider with the simulator's credentials, and the reader of its callbacks."""
    provider, reader = _made(name, world, receiver)
    try:
        yield provider, reader
    finally:
        await provider.stop()


def read(receiver: Receiver, reader: CallbackReader, count: int) -> list[News]:
    """The news of the first `count` callbacks."""
    news: list[News] = []
    for received in receiver.wait_for(count)[:count]:
        url = receiver.url + received.path
        news += reader.read(CallbackRequest("POST", url, received.headers, received.body, time.time_ns() // 1_000_000))
    return news


@pytest.mark.parametrize("name", NAMES)
async def test_a_trial_works_and_sends_nothing_to_anybody(name: str, world: Outside, receiver: Receiver) -> None:
    async with account(name, world, receiver) as (provider, _):
        assert isinstance(provider, Tries)
        trials = await provider.try_out()
        assert [name_of(trial.verdict) for trial in trials] == ["accepted"] * len(trials)
    assert [row for row in world.client.receipts() if row["delivery_id"]] == []


WRONG = {
    "fcm": {"errors": {"unauthenticated": 1}},
    "sendgrid": {"errors": {"401": 1}},
    "smtp": {"errors": {"auth_535": 1}},
    "twilio": {"errors": {"20003": 1}},
    "vonage": {"errors": {"http_401": 1}},
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_trial_with_refused_credentials_says_that_it_is_our_account(
    name: str, world: Outside, receiver: Receiver
) -> None:
    world.client.put_dials(name, **WRONG[name])
    async with account(name, world, receiver) as (provider, _):
        assert isinstance(provider, Tries)
        verdicts = [name_of(trial.verdict) for trial in await provider.try_out()]
    assert verdicts[-1] == "account_fault"


@pytest.mark.parametrize("name", NAMES)
async def test_a_trial_of_a_provider_that_is_out_blames_the_provider(
    name: str, world: Outside, receiver: Receiver
) -> None:
    world.client.put_dials(name, outage="refuse")
    async with account(name, world, receiver) as (provider, _):
        assert isinstance(provider, Tries)
        verdicts = [name_of(trial.verdict) for trial in await provider.try_out()]
    assert verdicts[-1] in ("retry", "unknown")


@pytest.mark.parametrize("name", NAMES)
async def test_a_message_is_taken_with_all_our_ids(name: str, world: Outside, receiver: Receiver) -> None:
    message = message_for(name)
    async with account(name, world, receiver) as (provider, _):
        (verdict,) = await sent(provider, message)
    assert isinstance(verdict, Accepted)
    assert verdict.message_id
    (row,) = world.client.receipts()
    assert (row["provider"], row["verdict"], row["attempt"]) == (name, "accepted", 2)
    assert row["delivery_id"].replace("-", "") == message.delivery_id.hex()
    assert row["notification_id"].replace("-", "") == message.delivery_id.hex()[:-2] + "00"


@pytest.mark.parametrize("name", ["fcm", "sendgrid", "twilio", "vonage"])
async def test_its_callbacks_end_with_delivered_for_our_attempt(name: str, world: Outside, receiver: Receiver) -> None:
    message = message_for(name)
    async with account(name, world, receiver) as (provider, reader):
        await sent(provider, message)
    news: list[News] = []
    for count in range(1, 5):
        news = read(receiver, reader, count)
        if any(item.kind == "delivered" for item in news):
            break
    assert {item.kind for item in news} <= {"accepted", "delivered"}
    assert {(item.delivery_id, item.attempt) for item in news} == {(message.delivery_id, 2)}


ERRORS: dict[str, dict[str, Any]] = {
    "fcm": dict(fcm.ERRORS),
    "sendgrid": dict(sendgrid.ERRORS),
    "smtp": dict(smtp.ERRORS),
    "twilio": dict(twilio.ERRORS),
    "vonage": dict(vonage.ERRORS),
}
CASES = [(name, error) for name in NAMES for error in ERRORS[name]]


def as_on_the_receipt(verdict: Verdict) -> str:
    """Our verdict in the simulator's words, which know no faults of accounts."""
    name = name_of(verdict)
    return "permanent" if name == "account_fault" else name


@pytest.mark.parametrize(("name", "error"), CASES, ids=[f"{name}-{error}" for name, error in CASES])
async def test_we_read_every_error_as_the_simulator_means_it(
    name: str, error: str, world: Outside, receiver: Receiver
) -> None:
    async with account(name, world, receiver) as (provider, _):
        if name == "fcm":  # a token must have worked before a mismatch can be another token's fault
            await sent(provider, message_for(name))
        world.client.put_dials(name, errors={error: 1.0})
        (verdict,) = await sent(provider, message_for(name))
    meant = ERRORS[name][error][1]
    assert as_on_the_receipt(verdict) == meant, verdict


FAILURES = [
    (name, failure)
    for name, module in (("sendgrid", sendgrid), ("twilio", twilio), ("vonage", vonage), ("smtp", smtp))
    for failure in module.FAILURES
    if failure != "silent"
]


@pytest.mark.parametrize(("name", "failure"), FAILURES, ids=[f"{name}-{failure}" for name, failure in FAILURES])
async def test_we_can_read_every_callback_of_a_failure(
    name: str, failure: str, world: Outside, receiver: Receiver
) -> None:
    message = message_for(name)
    world.client.put_dials(name, callback_failures={failure: 1.0})
    async with account(name, world, receiver) as (provider, reader):
        await sent(provider, message)
    news = read(receiver, reader, 1)
    assert all(item.delivery_id in (message.delivery_id, None) for item in news)


@pytest.mark.parametrize("name", NAMES)
async def test_a_lost_answer_is_unknown_though_the_message_was_taken(
    name: str, world: Outside, receiver: Receiver
) -> None:
    async with account(name, world, receiver) as (provider, _):
        await sent(provider, message_for(name))
        world.client.put_dials(name, lost_answers=1.0)
        (verdict,) = await sent(provider, message_for(name))
    assert isinstance(verdict, Unknown)
    assert len(list(world.client.receipts())) == 2


@pytest.mark.parametrize("name", NAMES)
async def test_where_nobody_listens_it_is_a_retry(name: str, world: Outside, receiver: Receiver) -> None:
    world.client.put_dials(name, outage="refuse")
    async with account(name, world, receiver) as (provider, _):
        (verdict,) = await sent(provider, message_for(name))
    assert name_of(verdict) in ("retry", "unknown")
    assert list(world.client.receipts()) == []


@pytest.mark.parametrize("name", ["fcm", "sendgrid", "twilio"])
async def test_a_throttle_names_its_wait(name: str, world: Outside, receiver: Receiver) -> None:
    async with account(name, world, receiver) as (provider, _):
        await sent(provider, message_for(name))
        world.client.put_dials(name, throttle={"rate_per_second": 0.01, "burst": 1, "retry_after_s": 7})
        verdicts = await sent(provider, *(message_for(name) for _ in range(3)))
    throttled = [verdict for verdict in verdicts if name_of(verdict) == "throttled"]
    assert len(throttled) >= 2


async def test_a_dead_token_is_reported_as_unregistered(world: Outside, receiver: Receiver) -> None:
    world.client.put_dials("fcm", dead_tokens=["token-1"])
    async with account("fcm", world, receiver) as (provider, _):
        (verdict,) = await sent(provider, message_for("fcm"))
    assert (name_of(verdict), verdict.code) == ("token_invalid", "404 UNREGISTERED")


async def test_an_access_token_that_expired_is_replaced(world: Outside, receiver: Receiver) -> None:
    world.client.put_dials("fcm", token_lifetime_s=1)
    async with account("fcm", world, receiver) as (provider, _):
        await provider.start()
        world.client.reset()  # the simulator forgets all tokens
        (verdict,) = await sent(provider, message_for("fcm"))
    assert isinstance(verdict, Accepted)


async def test_an_unknown_sms_at_twilio_is_found_again(world: Outside, receiver: Receiver) -> None:
    message = message_for("twilio")
    provider, _ = _made("twilio", world, receiver)
    assert isinstance(provider, TwilioProvider)
    world.client.put_dials("twilio", lost_answers=1.0)
    (verdict,) = await sent(provider, message)
    world.client.put_dials("twilio", lost_answers=None)
    found = await provider.lookup(message)
    other = await provider.lookup(message_for("twilio"))
    await provider.stop()
    assert isinstance(verdict, Unknown)
    assert isinstance(found, Accepted)
    assert found.message_id
    assert other is None or other.message_id == found.message_id


@pytest.mark.parametrize("name", ["twilio", "vonage"])
async def test_the_balance_falls_with_every_message_and_at_its_end_the_account_is_at_fault(
    name: str, world: Outside, receiver: Receiver
) -> None:
    world.client.put_dials(name, balance=0.05)
    async with account(name, world, receiver) as (provider, _):
        assert isinstance(provider, HasBalance)
        assert await provider.balance() == 0.05
        (first,) = await sent(provider, message_for(name))
        left = await provider.balance()
        assert isinstance(first, Accepted)
        assert left is not None
        assert left < 0.05
        while isinstance(verdict := (await sent(provider, message_for(name)))[0], Accepted):
            pass
        assert isinstance(verdict, AccountFault)


@pytest.mark.parametrize("name", ["twilio", "vonage"])
async def test_a_balance_that_is_not_told_is_none(name: str, world: Outside, receiver: Receiver) -> None:
    world.client.put_dials(name, outage="503")
    async with account(name, world, receiver) as (provider, _):
        assert isinstance(provider, HasBalance)
        assert await provider.balance() is None


@pytest.mark.parametrize("hidden", [[], ["PIPELINING"], ["SIZE", "8BITMIME"]])
async def test_a_thousand_mails_arrive_once_whatever_the_relay_offers(
    hidden: list[str], world: Outside, receiver: Receiver
) -> None:
    world.client.put_dials("smtp", hidden_extensions=hidden, mails_per_connection=90, callbacks=False)
    batch = [message_for("smtp") for _ in range(1000)]
    async with account("smtp", world, receiver) as (provider, _):
        verdicts = await sent(provider, *batch)
    assert [verdict for verdict in verdicts if not isinstance(verdict, Accepted)] == []
    arrived = [row["delivery_id"] for row in world.client.receipts() if row["verdict"] == "accepted"]
    assert len(arrived) == len(set(arrived)) == 1000
