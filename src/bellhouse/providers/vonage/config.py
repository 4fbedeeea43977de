"""What a Vonage SMS account is: key, secrets, sender, and where its receipts go."""

import msgspec

from bellhouse.ports.provider import Sheet
from bellhouse.security.signatures import VonageMethod


class VonageConfig(msgspec.Struct, frozen=True):
    """One API key."""

    api_key: str
    api_secret: str
    sender: str
    """A number without plus, or up to eleven letters."""
    signature_secret: str = ""
    """Signs the delivery receipts, once Vonage's support has switched that on."""
    signature_method: VonageMethod = "sha256"
    callback_url: str = ""
    """`{public_url}/callbacks/vonage`, at most 100 characters; empty asks for no receipts."""
    name: str = "vonage"
    price: float = 0.01
    """For one part, in `currency`, where the answer names no price."""
    currency: str = "EUR"
    rate_per_second: float | None = 30.0
    timeout_s: float = 10.0
    batch: int = 30

    def sheet(self) -> Sheet:
        """The capability sheet of this account."""
        return Sheet(
            name=self.name,
            channels=("sms",),
            batch=self.batch,
            price=self.price,
            currency=self.currency,
            rate_per_second=self.rate_per_second,
            timeout_s=self.timeout_s,
            confirms=bool(self.callback_url),
            status_page="https://vonageapi.statuspage.io",
        )
