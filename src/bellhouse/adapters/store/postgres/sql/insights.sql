-- name: notification
SELECT record FROM notifications WHERE id = $1;

-- name: decision
SELECT record FROM decisions WHERE id = $1;

-- name: events
SELECT id, kind, n, state, detail, at, source FROM delivery_events WHERE id > $1 AND id <= $2;

-- name: states
SELECT id, state FROM decisions WHERE id = ANY($1::bytea[]);

-- Day by day downwards: the partitions are in the order of their ids, and what is older than needed is not opened.
-- name: newest
SELECT id, record FROM notifications WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT $3;

-- First all of the recipient's, then the newest of them: left to itself the planner may walk all notifications from the
-- newest down until it has found enough of hers.
-- name: newest_of_recipient
WITH hers AS MATERIALIZED (
    SELECT id, record FROM notifications WHERE id < $1 AND id >= $2 AND recipient = $4
)
SELECT id, record FROM hers ORDER BY id DESC LIMIT $3;

-- name: recipient
SELECT recipient FROM recipients WHERE tenant = $1 AND user_id = $2;

-- What the newest rows say: each walks its key downwards from the newest, day by day, and ends at its limit.
-- name: recent_events
SELECT id, state, at, detail FROM delivery_events WHERE id >= $1 AND id < $2 AND kind = 0 ORDER BY id DESC LIMIT $3;

-- name: recent_notifications
SELECT record FROM notifications WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: recent_letters
SELECT tenant, type, channel, provider, reason, code, at, record
FROM dead_letters WHERE state = 'open' AND id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: recent_decisions
SELECT state, CASE state WHEN 'suppressed' THEN record END FROM decisions WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: notifications
SELECT id, record FROM notifications WHERE id = ANY($1::bytea[]);

-- name: decisions
SELECT id, record FROM decisions WHERE id = ANY($1::bytea[]);
