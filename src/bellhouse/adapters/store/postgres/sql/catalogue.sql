-- name: versions
SELECT kind, version FROM versions WHERE kind <> 'recipient';

-- First in every transaction that changes the kind: its row stays locked until the commit, so changes of a kind come
-- one after another.
-- name: changes
UPDATE versions SET version = version + 1 WHERE kind = $1;

-- name: type
SELECT tenant, name, record FROM types;

-- name: template
SELECT tenant, name, max(version) FROM templates GROUP BY tenant, name;

-- name: key
SELECT id, record FROM api_keys;

-- name: tenant
SELECT tenant, name, environment FROM tenants;

-- name: breaker
SELECT provider, channel, record FROM breakers;

-- name: one_template
SELECT record FROM templates WHERE tenant = $1 AND name = $2 AND version = $3;

-- name: put_type
INSERT INTO types (tenant, name, record) VALUES ($1, $2, $3)
ON CONFLICT (tenant, name) DO UPDATE SET record = excluded.record;

-- name: next_version
SELECT coalesce(max(version), 0) + 1 FROM templates WHERE tenant = $1 AND name = $2;

-- name: put_template
INSERT INTO templates (tenant, name, version, record) VALUES ($1, $2, $3, $4);

-- name: put_tenant
INSERT INTO tenants (name, environment) VALUES ($1, $2) ON CONFLICT (name, environment) DO NOTHING;

-- name: one_tenant
SELECT tenant FROM tenants WHERE name = $1 AND environment = $2;

-- name: one_key
SELECT record FROM api_keys WHERE id = $1;

-- name: put_key
INSERT INTO api_keys (id, record) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET record = excluded.record;

-- One statement, since it is asked by whoever has just seen a provider fail: the row, if it is still at the version that
-- was expected (0: there is none), and with it the kind's version.
-- name: change_breaker
WITH changed AS (
    INSERT INTO breakers AS held (provider, channel, version, record)
    SELECT $1::text, $2::text, $3::bigint, $4::bytea
    WHERE $5::bigint = 0 OR EXISTS (SELECT FROM breakers WHERE provider = $1 AND channel = $2)
    ON CONFLICT (provider, channel) DO UPDATE SET version = excluded.version, record = excluded.record
    WHERE held.version = $5
    RETURNING 1
)
UPDATE versions SET version = version + 1 WHERE kind = 'breaker' AND EXISTS (SELECT FROM changed);
