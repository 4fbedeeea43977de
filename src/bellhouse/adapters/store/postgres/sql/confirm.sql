-- Both tables by the array itself, here and elsewhere: a join to what an array holds would be planned over all days.
-- name: planned
SELECT id, notifications.record, decisions.record
FROM notifications
JOIN decisions USING (id)
WHERE notifications.id = ANY($1::bytea[]) AND decisions.id = ANY($1::bytea[]);

-- name: put_news
WITH early AS (
    INSERT INTO early_news (id) SELECT * FROM unnest($7::bytea[]) ON CONFLICT (id) DO UPDATE SET at = excluded.at
)
INSERT INTO delivery_events (id, kind, n, state, previous, at, source, detail)
SELECT id, 1, n, state, previous, at, 'news', detail
FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bytea[])
    AS news (id, n, state, previous, at, detail)
ON CONFLICT (id, kind, n) DO NOTHING;

-- name: tenants
SELECT tenant FROM tenants;

-- name: lift
DELETE FROM suppressions
USING unnest($1::integer[], $2::text[], $3::text[]) AS lifted (tenant, address, reason)
WHERE suppressions.tenant = lifted.tenant
  AND suppressions.address = lifted.address
  AND suppressions.reason = lifted.reason;
