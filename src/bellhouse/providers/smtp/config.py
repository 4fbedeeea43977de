"""What an SMTP relay is: where it listens, who we are to it, and how patient we are."""

from typing import Literal

import msgspec

from bellhouse.ports.provider import Sheet


class SmtpConfig(msgspec.Struct, frozen=True):
    """One relay and one sender."""

    host: str
    from_email: str
    domain: str
    """Of our Message-IDs and of the bounce addresses `bounce+<delivery id>@domain`."""
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """STARTTLS is demanded, not tried: a relay that does not offer it gets neither password nor mail."""
    username: str = ""
    password: str = ""
    ca_pem: str = ""
    """A certificate authority to trust beside the public ones."""
    from_name: str = ""
    reply_to: str = ""
    helo: str = ""
    """How we name ourselves; empty takes `domain`."""
    dsn_secret: str = ""
    """What the MTA's pipe shows when it posts a bounce to us; empty means that none come."""
    notify_success: bool = False
    """Ask for reports of success too, where the relay lists DSN; few hosts answer."""
    connections: int = 4
    connect_timeout_s: float = 30.0
    """For everything before the first mail: TCP, TLS, greeting, EHLO and AUTH."""
    command_timeout_s: float = 300.0
    """RFC 5321, 4.5.3.2: at least five minutes for a reply to MAIL and RCPT."""
    dot_timeout_s: float = 600.0
    """RFC 5321, 4.5.3.2.6: at least ten minutes after the final dot; a shorter wait makes duplicates."""
    idle_s: float = 20.0
    """How long an unused connection is kept."""
    name: str = "smtp"
    price: float = 0.0001
    rate_per_second: float | None = None
    batch: int = 200

    def sheet(self) -> Sheet:
        """The capability sheet of this relay."""
        return Sheet(
            name=self.name,
            channels=("email",),
            batch=self.batch,
            price=self.price,
            rate_per_second=self.rate_per_second,
            timeout_s=self.dot_timeout_s,
            confirms=bool(self.dsn_secret and self.notify_success),
        )
