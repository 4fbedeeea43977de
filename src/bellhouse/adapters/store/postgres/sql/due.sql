-- name: patience
SET LOCAL idle_in_transaction_session_timeout = '20s';

-- name: wait
INSERT INTO due (due_at, id, topic, key, parked, record)
SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::bigint[], $5::boolean[], $6::bytea[])
ON CONFLICT (due_at, id)
DO UPDATE SET topic = excluded.topic, key = excluded.key, parked = excluded.parked, record = excluded.record;

-- What is taken is taken before it is deleted: a subquery may be run again for each row, and find others then.
-- name: release
WITH taken AS MATERIALIZED (
    SELECT due_at, id FROM due WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM due
USING taken
WHERE due.due_at = taken.due_at AND due.id = taken.id
RETURNING due.topic, due.key, due.record, due.id;

-- Where priorities have clusters of their own. It reads past the rows of the others: few, unless their log is away.
-- name: release_of
WITH taken AS MATERIALIZED (
    SELECT due_at, id FROM due
    WHERE due_at > $4 AND due_at <= $1 AND topic = ANY($3::text[])
    ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM due
USING taken
WHERE due.due_at = taken.due_at AND due.id = taken.id
RETURNING due.topic, due.key, due.record, due.id;

-- name: next
SELECT due_at FROM due WHERE due_at > $1 ORDER BY due_at LIMIT 1;

-- Read every few seconds: where a million are overdue, the earliest of them say enough.
-- name: overdue
SELECT topic, min(due_at)
FROM (SELECT topic, due_at FROM due WHERE due_at <= $1 ORDER BY due_at LIMIT 10000) AS earliest
GROUP BY topic;

-- One look-up a topic.
-- name: parked
SELECT topic
FROM unnest($1::text[]) AS asked (topic)
WHERE EXISTS (SELECT FROM due WHERE parked AND due.topic = asked.topic);

-- name: release_parked
WITH taken AS MATERIALIZED (
    SELECT due_at, id FROM due
    WHERE parked AND topic = $1 AND id > $2 AND id <= $3
    ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED
)
DELETE FROM due
USING taken
WHERE due.due_at = taken.due_at AND due.id = taken.id
RETURNING due.topic, due.key, due.record, due.id;

-- The oldest rows until they hold enough records, at least one row: a row is a whole batch.
-- name: relay
WITH oldest AS MATERIALIZED (
    SELECT batch, count FROM outbox WHERE priority = $1 ORDER BY batch LIMIT $2 FOR UPDATE SKIP LOCKED
)
DELETE FROM outbox
WHERE batch IN (
    SELECT batch FROM (SELECT batch, sum(count) OVER (ORDER BY batch) - count AS before FROM oldest) AS counted
    WHERE before < $3
)
RETURNING topic, records;

-- name: pending
SELECT priority, sum(count)::bigint, min(at) FROM outbox WHERE priority <> 'feed' GROUP BY priority;

-- name: put_backlog
INSERT INTO meta VALUES ('backlog', $1), ('backlog_at', $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: backlog
SELECT name, value FROM meta WHERE name IN ('backlog', 'backlog_at');
