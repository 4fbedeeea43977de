"""What tenants define and what all processes must agree on, answered from memory that follows the file.

Every change leaves a row in `changes`; each call first takes in the rows that came since the last one, so an answer
is never older than the file, at the price of one tiny read a batch.
"""

from collections.abc import Mapping, Sequence

from bellhouse.adapters.store.codec import decode_breaker, decode_key, decode_template, decode_type, encode
from bellhouse.adapters.store.sqlite.database import Database, Transaction
from bellhouse.domain.catalogue import NotificationType, Template
from bellhouse.domain.ids import TenantNo
from bellhouse.ports.store.catalogue import ApiKey
from bellhouse.ports.store.providers import BreakerRow

_MAX_TEMPLATES = 2_000


class SqliteCatalogue:
    """The CatalogueStore and BreakerStore ports."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = -1
        self._types: dict[tuple[int, str], NotificationType] = {}
        self._newest: dict[tuple[int, str], int] = {}
        self._templates: dict[tuple[int, str, int], Template] = {}
        self._keys: dict[str, ApiKey] = {}
        self._tenants: dict[TenantNo, tuple[str, str]] = {}
        self._breakers: dict[tuple[str, str], BreakerRow] = {}

    def _follow(self) -> None:
        last = self._database.rows("SELECT coalesce(max(seq), 0) FROM changes")[0][0]
        if last == self._seen:
            return
        kinds = {
            row[0] for row in self._database.rows("SELECT DISTINCT kind FROM changes WHERE seq > ?", (self._seen,))
        }
        if self._seen < 0:
            kinds = {"type", "template", "key", "tenant", "breaker"}
        self._reload(kinds)
        self._seen = last

    def _reload(self, kinds: set[str]) -> None:
        rows = self._database.rows
        if "type" in kinds:
            self._types = {(t, n): decode_type(r) for t, n, r in rows("SELECT tenant, name, record FROM types")}
        if "template" in kinds:
            newest = rows("SELECT tenant, name, max(version) FROM templates GROUP BY tenant, name")
            self._newest = {(tenant, name): version for tenant, name, version in newest}
        if "key" in kinds:
            self._keys = {i: decode_key(r) for i, r in rows("SELECT id, record FROM api_keys")}
        if "tenant" in kinds:
            self._tenants = {t: (n, e) for t, n, e in rows("SELECT tenant, name, environment FROM tenants")}
        if "breaker" in kinds:
            self._breakers = {
                (p, c): decode_breaker(r) for p, c, r in rows("SELECT provider, channel, record FROM breakers")
            }

    # --- types and templates ---

    async def type(self, tenant: TenantNo, name: str) -> NotificationType | None:
        self._follow()
        return self._types.get((tenant, name))

    async def types(self, tenant: TenantNo) -> Sequence[NotificationType]:
        self._follow()
        return [kind for (owner, _), kind in sorted(self._types.items()) if owner == tenant]

    async def type_names(self) -> Sequence[str]:
        """The names of all tenants' types."""
        self._follow()
        return sorted({name for _, name in self._types})

    async def put_type(self, tenant: TenantNo, kind: NotificationType) -> None:
        with self._database.write() as transaction:
            transaction.run("INSERT OR REPLACE INTO types VALUES (?, ?, ?)", (tenant, kind.name, encode(kind)))
            _changed(transaction, "type", tenant, kind.name)

    async def template(self, tenant: TenantNo, name: str, version: int | None = None) -> Template | None:
        self._follow()
        wanted = self._newest.get((tenant, name)) if version is None else version
        if wanted is None:
            return None
        known = self._templates.get((tenant, name, wanted))
        if known is not None:
            return known
        rows = self._database.rows(
            "SELECT record FROM templates WHERE tenant = ? AND name = ? AND version = ?", (tenant, name, wanted)
        )
        if not rows:
            return None
        if len(self._templates) >= _MAX_TEMPLATES:
            self._templates.clear()
        template = self._templates[tenant, name, wanted] = decode_template(rows[0][0])
        return template

    async def template_names(self, tenant: TenantNo) -> Mapping[str, int]:
        self._follow()
        return {name: version for (owner, name), version in sorted(self._newest.items()) if owner == tenant}

    async def put_template(self, tenant: TenantNo, template: Template) -> int:
        with self._database.write() as transaction:
            version = transaction.run(
                "SELECT coalesce(max(version), 0) + 1 FROM templates WHERE tenant = ? AND name = ?",
                (tenant, template.name),
            ).fetchall()[0][0]
            stored = Template(template.name, version, template.locales, template.default_locale, template.sample)
            transaction.run(
                "INSERT INTO templates VALUES (?, ?, ?, ?)", (tenant, template.name, version, encode(stored))
            )
            _changed(transaction, "template", tenant, template.name)
        return int(version)

    # --- tenants and keys ---

    async def tenant(self, name: str, environment: str) -> TenantNo:
        self._follow()
        for number, known in self._tenants.items():
            if known == (name, environment):
                return number
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO tenants (name, environment) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, environment)
            )
            _changed(transaction, "tenant", 0, name)
            found = transaction.run(
                "SELECT tenant FROM tenants WHERE name = ? AND environment = ?", (name, environment)
            ).fetchall()
        return TenantNo(found[0][0])

    async def tenants(self) -> Mapping[TenantNo, tuple[str, str]]:
        self._follow()
        return dict(self._tenants)

    async def key(self, key_id: str) -> ApiKey | None:
        self._follow()
        return self._keys.get(key_id)

    async def keys(self) -> Sequence[ApiKey]:
        self._follow()
        return sorted(self._keys.values(), key=lambda key: key.created_at)

    async def put_key(self, key: ApiKey) -> None:
        with self._database.write() as transaction:
            transaction.run("INSERT OR REPLACE INTO api_keys VALUES (?, ?)", (key.id, encode(key)))
            _changed(transaction, "key", key.tenant, key.id)

    async def revoke_key(self, key_id: str, now: int) -> bool:
        key = await self.key(key_id)
        if key is None or key.revoked_at:
            return False
        revoked = ApiKey(
            key.id, key.tenant, key.tenant_name, key.environment, key.scopes, key.digest, key.label, key.created_at, now
        )
        await self.put_key(revoked)
        return True

    # --- breakers ---

    async def breakers(self) -> Sequence[BreakerRow]:
        self._follow()
        return list(self._breakers.values())

    async def change_breaker(self, row: BreakerRow, expected_version: int) -> bool:
        with self._database.write() as transaction:
            found = transaction.run(
                "SELECT version FROM breakers WHERE provider = ? AND channel = ?", (row.provider, row.channel)
            ).fetchall()
            if (found[0][0] if found else 0) != expected_version:
                return False
            transaction.run(
                "INSERT OR REPLACE INTO breakers VALUES (?, ?, ?, ?)",
                (row.provider, row.channel, row.version, encode(row)),
            )
            _changed(transaction, "breaker", 0, row.provider)
        return True


def _changed(transaction: Transaction, kind: str, tenant: int, name: str) -> None:
    transaction.run("INSERT INTO changes (kind, tenant, name) VALUES (?, ?, ?)", (kind, tenant, name))
