"""What tenants define: types, templates, and the keys that open the API."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from bellhouse.domain.catalogue import NotificationType, Template
from bellhouse.domain.ids import TenantNo


class ApiKey(msgspec.Struct, frozen=True):
    """A key as it is stored: never the secret."""

    id: str
    tenant: TenantNo
    tenant_name: str
    environment: str
    scopes: tuple[str, ...]
    digest: bytes
    label: str
    created_at: int
    revoked_at: int = 0


class CatalogueStore(Protocol):
    """Types, templates, keys and tenants: small, read for every batch, so answered from memory that follows every
    change in the store: at once where the store is on this machine, within a twentieth of a second elsewhere, and at
    once for a name that is not known yet."""

    async def type(self, tenant: TenantNo, name: str) -> NotificationType | None: ...

    async def types(self, tenant: TenantNo) -> Sequence[NotificationType]: ...

    async def put_type(self, tenant: TenantNo, kind: NotificationType) -> None: ...

    async def template(self, tenant: TenantNo, name: str, version: int | None = None) -> Template | None:
        """A version of a template; None for the newest."""
        ...

    async def template_names(self, tenant: TenantNo) -> Mapping[str, int]:
        """Each template's newest version."""
        ...

    async def put_template(self, tenant: TenantNo, template: Template) -> int:
        """Store a new version; answers its number."""
        ...

    async def tenant(self, name: str, environment: str) -> TenantNo:
        """The tenant's number, made at the first call."""
        ...

    async def tenants(self) -> Mapping[TenantNo, tuple[str, str]]: ...

    async def key(self, key_id: str) -> ApiKey | None: ...

    async def keys(self) -> Sequence[ApiKey]: ...

    async def put_key(self, key: ApiKey) -> None: ...

    async def revoke_key(self, key_id: str, now: int) -> bool: ...
