-- name: profiles
SELECT recipient, profile FROM recipients WHERE recipient = ANY($1::bigint[]);

-- name: suppressed
SELECT tenant, address
FROM unnest($1::integer[], $2::text[]) AS asked (tenant, address)
JOIN suppressions USING (tenant, address);

-- name: decide
INSERT INTO decisions (id, state, count, record)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::smallint[], $4::bytea[])
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: count
INSERT INTO ledger_moves (tenant, day, level, state, moved)
SELECT * FROM unnest($1::integer[], $2::integer[], $3::text[], $4::text[], $5::bigint[]);

-- name: decisions
SELECT id, record FROM decisions WHERE id = ANY($1::bytea[]);
