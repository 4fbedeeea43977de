"""What a Twilio account is: its ids and secrets, its sender, and where it reports to."""

import msgspec

from bellhouse.ports.provider import Sheet


class TwilioConfig(msgspec.Struct, frozen=True):
    """One account and one sender."""

    account_sid: str
    auth_token: str
    """Also the key of the callbacks' signatures."""
    sender: str = ""
    """A number in E.164, or an alphanumeric sender; empty where the service chooses."""
    messaging_service_sid: str = ""
    api_key_sid: str = ""
    """`SK…`; with it calls are made by the API key instead of the account's own token."""
    api_key_secret: str = ""
    callback_url: str = ""
    """`{public_url}/callbacks/twilio`; empty asks for no reports, and the provider's acceptance is the last word."""
    shared_key: str = ""
    """The secret of callbacks signed by HMAC-SHA256, where the account has one."""
    name: str = "twilio"
    price: float = 0.01
    """For one segment, in US dollars."""
    rate_per_second: float | None = None
    timeout_s: float = 10.0
    batch: int = 100

    def sheet(self) -> Sheet:
        """The capability sheet of this account."""
        return Sheet(
            name=self.name,
            channels=("sms",),
            batch=self.batch,
            price=self.price,
            rate_per_second=self.rate_per_second,
            timeout_s=self.timeout_s,
            confirms=bool(self.callback_url),
            status_page="https://status.twilio.com",
        )
