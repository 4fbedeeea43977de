"""Signatures of providers' callbacks, and our own receipt token; every comparison takes constant time.

Where a rule comes from: Twilio, "Validating Signatures from Twilio"; SendGrid, "Event Webhook Security Features";
Vonage, "Signing messages".
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

VonageMethod = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]
"""A Vonage account's signature setting: `md5hash` is a plain MD5 with the secret appended, the others are HMACs."""

TwilioAlgorithm = Literal["sha1", "sha256"]

_VONAGE_UNSAFE: Final = str.maketrans("&=", "__")
_RECEIPT_BYTES: Final = 18
_MAC_BYTES: Final = 16
_LAST_ATTEMPT: Final = 0xFFFF


class ReceiptKey:
    """Makes and reads the opaque token that a device app hands back: the attempt, and a MAC over id and attempt.

    A keyed BLAKE2b (RFC 7693, 2.9) serves as the MAC: half the cost of an HMAC-SHA256 on so short a message.
    """

    def __init__(self, secret: bytes) -> None:
        """`secret`: 16 to 64 bytes. Raises ValueError for any other length."""
        if not 16 <= len(secret) <= 64:
            raise ValueError("a receipt secret has 16 to 64 bytes")
        self._mac = hashlib.blake2b(key=secret, digest_size=_MAC_BYTES, person=b"bellhouse.rcpt")

    def token(self, delivery_id: bytes, attempt: int) -> str:
        """The token of an attempt: 24 URL-safe characters."""
        numbered = min(attempt, _LAST_ATTEMPT).to_bytes(2)
        mac = self._mac.copy()
        mac.update(delivery_id + numbered)
        return binascii.b2a_base64(numbered + mac.digest(), newline=False).translate(_TO_URL).decode("ascii")

    def attempt_of(self, delivery_id: bytes, token: str) -> int | None:
        """The attempt for which `token` was made, or None if we did not make it for this delivery."""
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        if len(raw) != _RECEIPT_BYTES:
            return None
        mac = self._mac.copy()
        mac.update(delivery_id + raw[:2])
        return int.from_bytes(raw[:2]) if hmac.compare_digest(mac.digest(), raw[2:]) else None


_TO_URL: Final = bytes.maketrans(b"+/", b"-_")


def same_secret(given: str, expected: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def twilio_signature(
    secret: str, url: str, form: Iterable[tuple[str, str]], algorithm: TwilioAlgorithm = "sha1"
) -> str:
    """Twilio's signature of a form post: base64 of an HMAC over the URL and, by sorted name, each name and value.

    Of a repeated name the distinct values are taken, sorted.
    """
    values: dict[str, set[str]] = {}
    for name, value in form:
        values.setdefault(name, set()).add(value)
    signed = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    digest = hmac.digest(_utf8(secret), _utf8(signed), algorithm)
    return base64.b64encode(digest).decode("ascii")


def vonage_signature(secret: str, fields: Mapping[str, str], method: VonageMethod) -> str:
    """Vonage's `sig` (lower-case hex) over all fields but `sig`: `&name=value` by sorted name.

    In values `&` and `=` count as `_`, so that a value cannot pass for another field.
    """
    text = "".join(f"&{name}={fields[name].translate(_VONAGE_UNSAFE)}" for name in sorted(fields) if name != "sig")
    if method == "md5hash":
        # The provider's choice, not ours; an account that can be set to sha256 should be.
        return hashlib.md5(_utf8(text + secret), usedforsecurity=False).hexdigest()
    return hmac.digest(_utf8(secret), _utf8(text), method).hex()


def vonage_signed(secret: str, fields: Mapping[str, str], method: VonageMethod) -> bool:
    """Whether `fields` carry the `sig` that Vonage would have made; letter case does not matter."""
    expected = vonage_signature(secret, fields, method)
    return same_secret(fields.get("sig", "").lower(), expected)


class SendGridKey:
    """The public key of a SendGrid account's signed Event Webhook."""

    def __init__(self, public_key: str) -> None:
        """`public_key`: base64 of a DER SubjectPublicKeyInfo on P-256. Raises ValueError for anything else."""
        key = load_der_public_key(base64.b64decode(public_key, validate=True))
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("the Event Webhook's key is an elliptic curve key")
        self._key = key

    def signed(self, signature: str, timestamp: str, body: bytes) -> bool:
        """Whether `signature` (base64 of DER r, s) is the key's over timestamp and raw body."""
        try:
            raw = base64.b64decode(signature, validate=True)
            self._key.verify(raw, _utf8(timestamp) + body, ec.ECDSA(hashes.SHA256()))
        except (ValueError, InvalidSignature):
            return False
        return True


def twilio_signed(
    secret: str,
    urls: Sequence[str],
    form: Sequence[tuple[str, str]],
    signature: str,
    algorithm: TwilioAlgorithm = "sha1",
) -> bool:
    """Whether `signature` is Twilio's for one of the ways in which the URL may have been written."""
    matches = [same_secret(signature, twilio_signature(secret, url, form, algorithm)) for url in urls]
    return any(matches)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
