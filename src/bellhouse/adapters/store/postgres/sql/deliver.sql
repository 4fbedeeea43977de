-- name: last_act
SELECT coalesce(max(act), 0) FROM operator_acts;

-- name: newest
SELECT recipient, collapse_key, id
FROM unnest($1::bigint[], $2::text[]) AS asked (recipient, collapse_key)
JOIN collapse_keys USING (recipient, collapse_key);

-- What the open intents of these lanes name, and whether their processes are alive.
-- name: sending
SELECT deliveries, process, coalesce(NOT given_up AND expires_at > clock_timestamp(), false)
FROM intents
LEFT JOIN processes USING (process)
WHERE lane = ANY($1::text[]);

-- A process that has renewed its lease at this very moment stays.
-- name: give_up
UPDATE processes SET given_up = true WHERE process = ANY($1::text[]) AND expires_at <= clock_timestamp();

-- name: intend
WITH counted AS (
    INSERT INTO ledger_moves (tenant, day, level, state, moved)
    SELECT * FROM unnest($5::integer[], $6::integer[], $7::text[], $8::text[], $9::bigint[])
)
INSERT INTO intents (lane, process, at, deliveries, taken_over) VALUES ($1, $2, $3, $4, $10)
RETURNING intent, pg_current_xact_id()::text;

-- Keeps the others from giving this process up until the transaction ends, unless they have.
-- name: stay
SELECT true FROM processes WHERE process = $1 AND NOT given_up FOR SHARE;

-- name: take_back
DELETE FROM intents WHERE intent = $1 RETURNING intent;

-- name: settle
WITH counted AS (
    INSERT INTO ledger_moves (tenant, day, level, state, moved)
    SELECT * FROM unnest($1::integer[], $2::integer[], $3::text[], $4::text[], $5::bigint[])
)
DELETE FROM intents WHERE intent = ANY($6::bigint[]);

-- name: put_inbox
INSERT INTO inbox (recipient, id, read_at, expires_at, record)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[])
ON CONFLICT (recipient, id) DO NOTHING;
