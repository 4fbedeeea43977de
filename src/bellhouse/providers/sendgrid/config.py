"""What a SendGrid account is: its key, its sender, and the public key of its Event Webhook."""

import msgspec

from bellhouse.ports.provider import Sheet


class SendGridConfig(msgspec.Struct, frozen=True):
    """One API key and one sender."""

    api_key: str
    from_email: str
    from_name: str = ""
    reply_to: str = ""
    verification_key: str = ""
    """Base64 of the Event Webhook's DER public key; empty means no events come, and acceptance is the last word."""
    sandbox: bool = False
    """SendGrid checks and answers, and sends nothing."""
    name: str = "sendgrid"
    price: float = 0.0001
    rate_per_second: float | None = None
    timeout_s: float = 10.0
    batch: int = 200

    def sheet(self) -> Sheet:
        """The capability sheet of this account."""
        return Sheet(
            name=self.name,
            channels=("email",),
            batch=self.batch,
            price=self.price,
            rate_per_second=self.rate_per_second,
            timeout_s=self.timeout_s,
            confirms=bool(self.verification_key),
            unknown_wait_s=60.0,  # events are batched for about 30 seconds
            status_page="https://status.sendgrid.com",
        )
