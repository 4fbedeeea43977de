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
