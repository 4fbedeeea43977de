"""Who calls: API keys verified against the catalogue, with the last verifications kept for a second."""

from typing import Final

import msgspec

from bellhouse.domain.ids import TenantNo
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.catalogue import CatalogueStore
from bellhouse.security import keys
from bellhouse.security.keys import Scope
from bellhouse.web.problems import Problem

CALLER: Final = "bellhouse.caller"
"""Where the scope keeps who calls."""

_TRUST_S: Final = 1.0
"""How long a verified key is believed without asking the store: the longest that a revoked key still works."""
_KEPT: Final = 4_096
_CHALLENGE: Final = ((b"www-authenticate", b'Bearer realm="bellhouse"'),)


class Caller(msgspec.Struct, frozen=True, gc=False):
    """A verified key's holder."""

    key_id: str
    tenant: TenantNo
    tenant_name: str
    environment: str
    scopes: tuple[str, ...]
    label: str = ""
    """What its holder calls the key."""

    @property
    def name(self) -> str:
        """How the key is called where people read it."""
        return self.label or self.key_id

    def needs(self, scope: Scope) -> None:
        """Raise the Problem `forbidden` unless the key has the scope."""
        if not keys.allows(self.scopes, scope):
            raise Problem(
                "forbidden", f"This needs the scope `{scope}`; the key has {', '.join(self.scopes) or 'none'}."
            )

    @property
    def everywhere(self) -> bool:
        """Whether it acts for every tenant where that has a meaning."""
        return "admin" in self.scopes


class Keyring:
    """Verifies the `Authorization` header. A key that was verified is believed for a second, then looked up again."""

    def __init__(self, catalogue: CatalogueStore, pepper: bytes, clock: Clock) -> None:
        self._catalogue = catalogue
        self._pepper = pepper
        self._clock = clock
        self._known: dict[bytes, tuple[Caller, float]] = {}

    def forget(self) -> None:
        """Believe nothing any more: the key table has changed."""
        self._known.clear()

    async def caller(self, authorization: bytes | None) -> Caller:
        """Who presents this header. Raises the Problem `unauthorized`, which says no more than that."""
        if authorization is None:
            raise _unauthorized("The request carries no `Authorization` header.")
        known = self._known.get(authorization)
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]
        caller = await self._verify(authorization)
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[authorization] = (caller, self._clock.monotonic() + _TRUST_S)
        return caller

    async def _verify(self, authorization: bytes) -> Caller:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        secret = keys.parse(token.strip()) if scheme.lower() == "bearer" else None
        if secret is None:
            raise _unauthorized("The `Authorization` header is not `Bearer bh_<environment>_<key id>_<secret>`.")
        row = await self._catalogue.key(secret.key_id)
        if row is None or row.revoked_at or not keys.matches(self._pepper, secret, row.digest):
            raise _unauthorized("The key is unknown or was revoked.")
        return Caller(row.id, row.tenant, row.tenant_name, row.environment, row.scopes, row.label)


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers=_CHALLENGE)
