"""Google's OAuth token endpoint: a signed assertion in, an access token that expires out."""

import secrets
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from bellhouse.simulator.clock import monotonic, now_ms
from bellhouse.simulator.credentials import Secrets
from bellhouse.simulator.wire import Exchange, Reply, RequestHead, json_reply

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
_SCOPES = {
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
}
_SKEW_S = 300
_KEPT_TOKENS = 10_000


class GrantError(Exception):
    """An assertion Google would refuse: RFC 6749's error code and Google's description."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class TokenDesk:
    """Issues and knows access tokens."""

    def __init__(self, known: Secrets) -> None:
        private = serialization.load_pem_private_key(known.fcm_private_key.encode(), None)
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key = RSAKey.import_key(public)
        self._known = known
        self._expiry: dict[str, float] = {}
        self.audiences = {_GOOGLE_AUDIENCE}
        self.lifetime_s = 3600.0

    def reset(self) -> None:
        """Every token issued so far is invalid from now on."""
        self._expiry.clear()

    def valid(self, authorization: str | None) -> bool:
        """Whether this `Authorization` value carries a token that still lives."""
        expiry = self._expiry.get(authorization or "")
        return expiry is not None and expiry > monotonic()

    def token(self, _head: RequestHead, body: bytes, exchange: Exchange) -> None:
        """`POST /token`."""
        try:
            exchange.reply(self._issue(body))
        except GrantError as error:
            exchange.reply(json_reply(400, {"error": error.code, "error_description": str(error)}))

    def _issue(self, body: bytes) -> Reply:
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        grant = form.get("grant_type", [""])[0]
        if grant != _GRANT:
            raise GrantError("unsupported_grant_type", f"Invalid grant_type: {grant}")
        self._check(form.get("assertion", [""])[0])
        token = f"ya29.c.{secrets.token_urlsafe(120)}"
        if len(self._expiry) >= _KEPT_TOKENS:
            del self._expiry[next(iter(self._expiry))]
        self._expiry[f"Bearer {token}"] = monotonic() + self.lifetime_s
        answer = {"access_token": token, "expires_in": max(1, int(self.lifetime_s)), "token_type": "Bearer"}
        return json_reply(200, answer, ("cache-control", "private"))

    def _check(self, assertion: str) -> None:
        try:
            signed = jwt.decode(assertion, self._key, algorithms=["RS256"])
        except (JoseError, ValueError) as error:
            raise GrantError("invalid_grant", "Invalid JWT Signature.") from error
        claims = signed.claims
        if claims.get("iss") != self._known.client_email:
            raise GrantError("invalid_grant", "Invalid grant: account not found")
        if signed.header.get("kid") not in (None, self._known.fcm_key_id):
            raise GrantError("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") not in self.audiences:
            raise GrantError("invalid_grant", "Invalid JWT: Failed audience check.")
        if not _SCOPES & set(str(claims.get("scope", "")).split()):
            raise GrantError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        if not _timely(claims.get("iat"), claims.get("exp"), now_ms() / 1000):
            raise GrantError(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
                " Check your iat and exp values in the JWT claim.",
            )


def _timely(issued: object, expires: object, now: float) -> bool:
    if not isinstance(issued, int | float) or not isinstance(expires, int | float):
        return False
    return issued <= now + _SKEW_S and now - _SKEW_S < expires <= issued + 3600 + _SKEW_S
