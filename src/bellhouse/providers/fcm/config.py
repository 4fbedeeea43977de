"""What an FCM account is: a Firebase project, its service account, and the secret of the device app's receipts."""

from typing import Self
from urllib.parse import urlsplit

import msgspec

from bellhouse.ports.provider import Sheet

TOKEN_URL = "https://oauth2.googleapis.com/token"
QUOTA_PER_SECOND = 10_000.0
"""600,000 messages a minute per project (Firebase: "throttling and quotas")."""


class FcmConfig(msgspec.Struct, frozen=True):
    """A service account of one Firebase project."""

    project_id: str
    client_email: str
    private_key: str
    """PKCS#8 PEM, RSA."""
    private_key_id: str = ""
    token_url: str = TOKEN_URL
    receipt_secret: bytes = b""
    """16 to 64 bytes; with it the device app can report arrival, and `confirms` is true. Empty: no receipts."""
    name: str = "fcm"
    rate_per_second: float = QUOTA_PER_SECOND
    timeout_s: float = 10.0
    batch: int = 500

    @classmethod
    def from_service_account(cls, document: bytes, receipt_secret: bytes = b"") -> Self:
        """Read the JSON key file that Google Cloud hands out. Raises msgspec.ValidationError for anything else."""
        account = msgspec.json.decode(document, type=_ServiceAccount)
        return cls(
            project_id=account.project_id,
            client_email=account.client_email,
            private_key=account.private_key,
            private_key_id=account.private_key_id,
            token_url=account.token_uri,
            receipt_secret=receipt_secret,
        )

    @property
    def token_path(self) -> str:
        """The path of `token_url`: what the token transport is asked for."""
        parts = urlsplit(self.token_url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def sheet(self) -> Sheet:
        """The capability sheet of this account."""
        return Sheet(
            name=self.name,
            channels=("push",),
            batch=self.batch,
            price=0.0,
            rate_per_second=self.rate_per_second,
            timeout_s=self.timeout_s,
            confirms=bool(self.receipt_secret),
            confirmed_by="device",
            status_page="https://status.firebase.google.com",
        )


class _ServiceAccount(msgspec.Struct):
    project_id: str
    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = TOKEN_URL
