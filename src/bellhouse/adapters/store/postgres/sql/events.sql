-- name: read
SELECT id, kind, n, state, detail FROM delivery_events WHERE id = ANY($1::bytea[]);

-- Always in the order of the ids, so that two that lock the same deliveries wait for one another in turn.
-- name: lock
SELECT id FROM delivery_events WHERE id = ANY($1::bytea[]) AND kind = 0 ORDER BY id, n FOR UPDATE;

-- What is there already is another's outcome of the same step, or the same one written before an answer was lost.
-- name: insert
INSERT INTO delivery_events (id, kind, n, state, previous, at, source, detail)
SELECT id, $8, n, state, previous, at, source, detail
FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bytea[])
    AS step (id, n, state, previous, at, source, detail)
ON CONFLICT (id, kind, n) DO NOTHING
RETURNING id, n;

-- name: remove
DELETE FROM delivery_events
WHERE id = ANY($1::bytea[]) AND kind = 0 AND (id, n) IN (SELECT * FROM unnest($1::bytea[], $2::bigint[]));

-- name: intents
SELECT deliveries FROM intents WHERE $1::text[] IS NULL OR lane = ANY($1);
