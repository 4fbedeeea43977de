"""API keys: `bh_<environment>_<key id>_<secret>`, stored only as a keyed BLAKE2b digest, with closed scopes."""

import hashlib
import hmac
import os
import re
from typing import Final, Literal, get_args

import msgspec

Scope = Literal["send", "read", "manage", "operate", "admin"]
"""`send` notifications and cancel them; `read` what became of them; `manage` recipients, types and templates;
`operate` dead letters, breakers and the ledger; `admin` all of these, and for every tenant where that has a meaning."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
ENVIRONMENT: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
PEPPER_BYTES: Final = 32
_TOKEN: Final = re.compile(rf"bh_({ENVIRONMENT.pattern})_([0-9a-f]{{16}})_([0-9a-f]{{48}})")
_DIGEST_BYTES: Final = 32


class Secret(msgspec.Struct, frozen=True):
    """A presented or freshly made key, taken apart."""

    environment: str
    key_id: str
    secret: str

    @property
    def token(self) -> str:
        """The key as its holder keeps it."""
        return f"bh_{self.environment}_{self.key_id}_{self.secret}"


def new_secret(environment: str) -> Secret:
    """Make a key for an environment: a lower-case word of at most 32 letters, digits and hyphens (ValueError)."""
    if not ENVIRONMENT.fullmatch(environment):
        raise ValueError(f"{environment!r} is no environment: use lower-case letters, digits and hyphens, at most 32")
    return Secret(environment, os.urandom(8).hex(), os.urandom(24).hex())


def new_pepper() -> bytes:
    """The server's own secret that keys every digest: 32 random bytes, kept outside the store."""
    return os.urandom(PEPPER_BYTES)


def parse(token: str) -> Secret | None:
    """Take a presented key apart; None for what cannot be one of ours."""
    match = _TOKEN.fullmatch(token)
    return Secret(match[1], match[2], match[3]) if match else None


def digest(pepper: bytes, secret: Secret) -> bytes:
    """What is stored of a key: 32 bytes of BLAKE2b keyed by the server's pepper (RFC 7693, 2.9)."""
    return hashlib.blake2b(
        secret.token.encode(), key=pepper, digest_size=_DIGEST_BYTES, person=b"bellhouse.apikey"
    ).digest()


def matches(pepper: bytes, secret: Secret, stored: bytes) -> bool:
    """Whether a presented key has the stored digest, compared in constant time."""
    return hmac.compare_digest(digest(pepper, secret), stored)


def allows(scopes: tuple[str, ...], needed: Scope) -> bool:
    """Whether these scopes allow what needs `needed`; `admin` allows everything."""
    return needed in scopes or "admin" in scopes
