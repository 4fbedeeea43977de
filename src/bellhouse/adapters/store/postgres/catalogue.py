"""What tenants define and what all processes must agree on, answered from memory that follows the database.

Every change raises its kind's row in `versions`, which is read at most once in `fresh_s`, and at once for a name that
is not known: so an answer is never older than that, at the price of one tiny read in a twentieth of a second.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal

import msgspec

from bellhouse.adapters.store.codec import decode_breaker, decode_key, decode_template, decode_type, encode
from bellhouse.adapters.store.postgres.database import Connection, Database
from bellhouse.adapters.store.postgres.memory import Follower
from bellhouse.adapters.store.postgres.queries import queries
from bellhouse.domain.catalogue import NotificationType, Template
from bellhouse.domain.ids import TenantNo
from bellhouse.ports.clock import Clock
from bellhouse.ports.store.catalogue import ApiKey
from bellhouse.ports.store.providers import BreakerRow

_SQL: Final = queries("catalogue")
_MAX_TEMPLATES: Final = 2_000

Kind = Literal["type", "template", "key", "tenant", "breaker"]


class PostgresCatalogue:
    """The CatalogueStore and BreakerStore ports."""

    def __init__(self, database: Database, clock: Clock, fresh_s: float = 0.05) -> None:
        """`fresh_s` is how old an answer may be; with 0 every call reads."""
        self._database = database
        self._types: dict[tuple[int, str], NotificationType] = {}
        self._newest: dict[tuple[int, str], int] = {}
        self._templates: dict[tuple[int, str, int], Template] = {}
        self._keys: dict[str, ApiKey] = {}
        self._tenants: dict[tuple[str, str], TenantNo] = {}
        self._breakers: dict[tuple[str, str], BreakerRow] = {}
        reloads = {
            "type": self._load_types,
            "template": self._load_newest,
            "key": self._load_keys,
            "tenant": self._load_tenants,
            "breaker": self._load_breakers,
        }
        self._follower = Follower(database, clock, fresh_s, reloads)
        self._follow = self._follower.follow

    @asynccontextmanager
    async def _changing(self, kind: Kind) -> AsyncIterator[Connection]:
        """A transaction that changes rows of a kind, one after another with all others that do."""
        try:
            async with self._database.transaction() as connection:
                await connection.execute(_SQL["changes"], kind)
                yield connection
        finally:
            # Also where it failed: a commit whose answer was lost may have come to pass.
            self._follower.changed()

    # --- types and templates ---

    async def type(self, tenant: TenantNo, name: str) -> NotificationType | None:
        await self._follow((tenant, name) in self._types)
        return self._types.get((tenant, name))

    async def types(self, tenant: TenantNo) -> Sequence[NotificationType]:
        await self._follow()
        return [kind for (owner, _), kind in sorted(self._types.items()) if owner == tenant]

    async def type_names(self) -> Sequence[str]:
        """The names of all tenants' types."""
        await self._follow()
        return sorted({name for _, name in self._types})

    async def put_type(self, tenant: TenantNo, kind: NotificationType) -> None:
        async with self._changing("type") as connection:
            await connection.execute(_SQL["put_type"], tenant, kind.name, encode(kind))

    async def template(self, tenant: TenantNo, name: str, version: int | None = None) -> Template | None:
        await self._follow(self._newest.get((tenant, name), 0) >= (version or 1))
        newest = self._newest.get((tenant, name), 0)
        wanted = newest if version is None else version
        if not 1 <= wanted <= newest:
            return None
        known = self._templates.get((tenant, name, wanted))
        return known if known is not None else await self._load_template(tenant, name, wanted)

    async def template_names(self, tenant: TenantNo) -> Mapping[str, int]:
        await self._follow()
        return {name: version for (owner, name), version in sorted(self._newest.items()) if owner == tenant}

    async def put_template(self, tenant: TenantNo, template: Template) -> int:
        async with self._changing("template") as connection:
            version = int(await connection.fetchval(_SQL["next_version"], tenant, template.name))
            stored = msgspec.structs.replace(template, version=version)
            await connection.execute(_SQL["put_template"], tenant, template.name, version, encode(stored))
        return version

    # --- tenants and keys ---

    async def tenant(self, name: str, environment: str) -> TenantNo:
        await self._follow((name, environment) in self._tenants)
        known = self._tenants.get((name, environment))
        if known is not None:
            return known
        async with self._changing("tenant") as connection:
            await connection.execute(_SQL["put_tenant"], name, environment)
            return TenantNo(await connection.fetchval(_SQL["one_tenant"], name, environment))

    async def tenants(self) -> Mapping[TenantNo, tuple[str, str]]:
        await self._follow()
        return {number: words for words, number in self._tenants.items()}

    async def key(self, key_id: str) -> ApiKey | None:
        await self._follow(key_id in self._keys)
        return self._keys.get(key_id)

    async def keys(self) -> Sequence[ApiKey]:
        await self._follow()
        return sorted(self._keys.values(), key=lambda key: key.created_at)

    async def put_key(self, key: ApiKey) -> None:
        async with self._changing("key") as connection:
            await connection.execute(_SQL["put_key"], key.id, encode(key))

    async def revoke_key(self, key_id: str, now: int) -> bool:
        async with self._changing("key") as connection:
            record = await connection.fetchval(_SQL["one_key"], key_id)
            key = None if record is None else decode_key(record)
            if key is None or key.revoked_at:
                return False
            await connection.execute(_SQL["put_key"], key_id, encode(msgspec.structs.replace(key, revoked_at=now)))
        return True

    # --- breakers ---

    async def breakers(self) -> Sequence[BreakerRow]:
        await self._follow()
        return list(self._breakers.values())

    async def change_breaker(self, row: BreakerRow, expected_version: int) -> bool:
        values = (row.provider, row.channel, row.version, encode(row), expected_version)
        try:
            return await self._database.run(_SQL["change_breaker"], *values) == 1
        finally:
            # Also where it failed: then another process has changed the row, and the caller wants to see how.
            self._follower.changed()

    # --- memory ---

    async def _load_types(self) -> None:
        rows = await self._database.rows(_SQL["type"])
        self._types = {(tenant, name): decode_type(record) for tenant, name, record in rows}

    async def _load_newest(self) -> None:
        rows = await self._database.rows(_SQL["template"])
        self._newest = {(tenant, name): version for tenant, name, version in rows}
        # A version never changes, but a server that takes over may have lost it, and have another of its number.
        self._templates.clear()

    async def _load_keys(self) -> None:
        self._keys = {key_id: decode_key(record) for key_id, record in await self._database.rows(_SQL["key"])}

    async def _load_tenants(self) -> None:
        rows = await self._database.rows(_SQL["tenant"])
        self._tenants = {(name, environment): TenantNo(tenant) for tenant, name, environment in rows}

    async def _load_breakers(self) -> None:
        rows = await self._database.rows(_SQL["breaker"])
        self._breakers = {(provider, channel): decode_breaker(record) for provider, channel, record in rows}

    async def _load_template(self, tenant: TenantNo, name: str, version: int) -> Template | None:
        record = await self._database.value(_SQL["one_template"], tenant, name, version)
        if record is None:
            return None
        if len(self._templates) >= _MAX_TEMPLATES:
            self._templates.clear()
        template = self._templates[tenant, name, version] = decode_template(record)
        return template
