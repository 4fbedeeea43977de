-- name: version
SELECT value FROM meta WHERE name = 'levers';

-- name: levers
SELECT record FROM levers ORDER BY kind, scope;

-- First in every transaction that changes a lever or records an act: the row stays locked until the commit, so they
-- come one after another and their numbers are in the order of their commits.
-- name: in_turn
SELECT value FROM meta WHERE name = 'levers' FOR UPDATE;

-- name: changes
UPDATE meta SET value = value + 1 WHERE name = 'levers';

-- name: one
SELECT record FROM levers WHERE kind = $1 AND scope = $2;

-- name: put
INSERT INTO levers (kind, scope, record) VALUES ($1, $2, $3)
ON CONFLICT (kind, scope) DO UPDATE SET record = excluded.record;

-- name: remove
DELETE FROM levers WHERE kind = $1 AND scope = $2;

-- name: record
INSERT INTO audit (at, act, record) VALUES ($1, $2, $3);

-- name: acts
SELECT number, record FROM audit WHERE number < $1 AND at >= $2 ORDER BY number DESC LIMIT $3;

-- name: acts_of
SELECT number, record FROM audit WHERE number < $1 AND at >= $2 AND act = $4 ORDER BY number DESC LIMIT $3;

-- name: hold
INSERT INTO held (scope, topic, id, due_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[])
ON CONFLICT (scope, topic, id) DO UPDATE SET due_at = excluded.due_at;

-- One look-up for each that there is.
-- name: next_held
SELECT scope, topic FROM held WHERE (scope, topic) > ($1, $2) ORDER BY scope, topic LIMIT 1;

-- What is taken is taken before it is deleted: a subquery may be run again for each row, and find others then.
-- name: take_held
WITH taken AS MATERIALIZED (
    SELECT id FROM held WHERE scope = $1 AND topic = $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
)
DELETE FROM held
USING taken
WHERE held.scope = $1 AND held.topic = $2 AND held.id = taken.id
RETURNING held.due_at, held.id;

-- Those whose lifetime has ended meanwhile are gone.
-- name: take_due
DELETE FROM due
USING unnest($1::bigint[], $2::bytea[]) AS taken (due_at, id)
WHERE due.due_at = taken.due_at AND due.id = taken.id
RETURNING due.topic, due.key, due.record, due.id;

-- name: decided
SELECT id FROM decisions WHERE id = ANY($1::bytea[]);

-- Acts that were moved here have brought their numbers along, and none is ever deleted.
-- name: number_acts
SELECT setval(pg_get_serial_sequence('audit', 'number'), greatest(max(number), 1), max(number) IS NOT NULL) FROM audit;
