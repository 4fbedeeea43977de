"""API keys: made, listed, revoked."""

import msgspec

from bellhouse.ports.store.catalogue import ApiKey, CatalogueStore
from bellhouse.security.keys import SCOPES, Scope, digest, new_secret
from bellhouse.web.times import rfc3339, rfc3339_or_none


class KeyView(msgspec.Struct, frozen=True):
    """A key as it is shown: never its secret."""

    id: str
    tenant: str
    environment: str
    scopes: tuple[str, ...]
    label: str
    created_at: str
    revoked_at: str | None


async def create_key(
    catalogue: CatalogueStore,
    pepper: bytes,
    now: int,
    tenant: str,
    environment: str,
    scopes: tuple[Scope, ...],
    label: str = "",
) -> tuple[KeyView, str]:
    """Make a key of a tenant's environment; answers it with its token, which is shown once and never stored.

    Raises ValueError for an environment's name or a scope that cannot be.
    """
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise ValueError(f"scopes are words of {', '.join(SCOPES)}")
    secret = new_secret(environment)
    number = await catalogue.tenant(tenant, environment)
    key = ApiKey(secret.key_id, number, tenant, environment, scopes, digest(pepper, secret), label, now)
    await catalogue.put_key(key)
    return view_of(key), secret.token


async def list_keys(catalogue: CatalogueStore) -> list[KeyView]:
    """All keys, the oldest first."""
    return [view_of(key) for key in sorted(await catalogue.keys(), key=lambda key: key.created_at)]


def view_of(key: ApiKey) -> KeyView:
    """A key without what must stay secret."""
    return KeyView(
        key.id,
        key.tenant_name,
        key.environment,
        key.scopes,
        key.label,
        rfc3339(key.created_at),
        rfc3339_or_none(key.revoked_at),
    )
