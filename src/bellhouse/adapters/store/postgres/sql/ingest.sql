-- Take keys that nobody has, or whose day is over. A living one that is held is locked all the same, and not answered.
-- name: hold_keys
INSERT INTO idempotency_keys AS held (key, id, fingerprint)
SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[])
ON CONFLICT (key) DO UPDATE SET id = excluded.id, fingerprint = excluded.fingerprint WHERE held.id < $4
RETURNING key;

-- Joined key by key, each to its own partition: `= ANY` would look for every key in all of them.
-- name: held
SELECT held.key, held.id, held.fingerprint
FROM unnest($1::bytea[]) AS asked (key)
JOIN idempotency_keys AS held ON held.key = asked.key;

-- Everything of an accepted batch in one statement: what is stored, what is counted, what was promised, and what the
-- relay carries to the log.
-- name: accept
WITH stored AS (
    INSERT INTO notifications (id, recipient, record)
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])
), counted AS (
    INSERT INTO ledger_moves (tenant, day, level, state, moved)
    SELECT * FROM unnest($4::integer[], $5::integer[], $6::text[], $7::text[], $8::bigint[])
), promised AS (
    INSERT INTO acceptances (at, count, keys) VALUES ($9, $10, $11)
), carried AS (
    INSERT INTO outbox (priority, topic, at, count, records)
    SELECT priority, topic, $9, count, records
    FROM unnest($12::text[], $13::text[], $14::integer[], $15::bytea[]) AS waiting (priority, topic, count, records)
)
SELECT pg_current_xact_id()::text;

-- name: stands
SELECT EXISTS (SELECT FROM notifications WHERE id = $1);

-- name: wait
INSERT INTO due (due_at, id, topic, key, parked, record)
SELECT due_at, id, topic, key, false, record
FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::bigint[], $5::bytea[]) AS waiting (due_at, id, topic, key, record)
ON CONFLICT (due_at, id) DO UPDATE SET topic = excluded.topic, key = excluded.key, record = excluded.record;

-- name: collapse
INSERT INTO collapse_keys AS held (recipient, collapse_key, id)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[])
ON CONFLICT (recipient, collapse_key) DO UPDATE SET id = greatest(held.id, excluded.id);

-- The first ones, and of these the old ones: a day's acceptances are many, and most of them young.
-- name: old_acceptances
SELECT batch, keys FROM acceptances
WHERE batch IN (
    SELECT batch FROM (SELECT batch, at FROM acceptances ORDER BY batch LIMIT $2) AS first WHERE at <= $1
)
ORDER BY batch FOR UPDATE SKIP LOCKED;

-- Whoever takes keys again that are being forgotten has them in another order, and is not the one to wait in vain.
-- name: impatience
SET LOCAL lock_timeout = '100ms';

-- Their number is kept when their keys are forgotten: the ledger is checked against it.
-- name: close_acceptances
WITH closed AS (
    DELETE FROM acceptances WHERE batch = ANY($1::bigint[]) RETURNING count
)
UPDATE meta SET value = value + (SELECT coalesce(sum(count), 0) FROM closed) WHERE name = 'accepted';

-- name: shorten
UPDATE acceptances SET keys = $2 WHERE batch = $1;

-- Without statistics the planner would read whole partitions for a few keys.
-- name: by_index
SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('enable_seqscan', 'off', true);

-- A key that was taken again after its day has a younger id, and stays.
-- name: forget
DELETE FROM idempotency_keys AS held
USING unnest($1::bytea[]) AS gone (key)
WHERE held.key = gone.key AND held.id < $2;

-- name: notification
SELECT record FROM notifications WHERE id = $1;

-- name: decision
SELECT record FROM decisions WHERE id = $1;

-- name: decide_cancelled
INSERT INTO decisions (id, state, count, record) VALUES ($1, 'cancelled', 0, $2)
ON CONFLICT (id) DO NOTHING
RETURNING true;

-- Held alone by who cancels, together by who is about to send.
-- name: lock_acts
SELECT pg_advisory_xact_lock(4241002);

-- name: act
INSERT INTO operator_acts (delivery) SELECT * FROM unnest($1::bytea[]);
