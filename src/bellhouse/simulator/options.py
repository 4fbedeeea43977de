"""What a simulator process is started with."""

from msgspec import Struct


class Options(Struct, frozen=True, kw_only=True):
    """Start options of one simulator.

    `port` 0 lets the OS choose every port that is not named. With a fixed `port`, the ports that are
    None follow from it: one per HTTP provider (`port + 1` … `port + 4`: fcm, sendgrid, twilio, vonage),
    TLS `port + 5`, SMTP `port + 6`.
    """

    host: str = "127.0.0.1"
    advertised_host: str | None = None
    port: int = 0
    tls_port: int | None = None
    smtp_port: int | None = None
    dir: str | None = None
    receipts: str | None = None
    receipts_kept: int = 1_000_000
    callback_base_url: str | None = None
    callback_connections: int = 8
    callback_queue: int = 250_000
    max_connections: int = 4096
    seed: int | None = None

    @property
    def public_host(self) -> str:
        """The host name that clients are told to use."""
        if self.advertised_host is not None:
            return self.advertised_host
        return "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host
