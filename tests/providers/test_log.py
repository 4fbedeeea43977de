"""The provider that sends nothing."""

from bellhouse.domain.attempt import Accepted
from bellhouse.providers.log.send import LogConfig, LogProvider

from .scripted import mail, push, sent, sms


async def test_it_accepts_everything_at_once() -> None:
    provider = LogProvider()
    assert provider.check(push()) is None
    assert await sent(provider, push(), mail(), sms()) == [Accepted()] * 3


def test_it_stands_in_for_whom_it_is_told() -> None:
    sheet = LogProvider(LogConfig("log2", ("email",))).sheet
    assert (sheet.name, sheet.channels, sheet.price) == ("log2", ("email",), 0.0)
