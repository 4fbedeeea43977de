-- name: rows
SELECT id, kind, n, state, detail, previous FROM delivery_events WHERE id = ANY($1::bytea[]);

-- name: waiting
SELECT id FROM early_news WHERE id = ANY($1::bytea[]);

-- name: take
SELECT id FROM early_news WHERE id = ANY($1::bytea[]) ORDER BY id FOR UPDATE;

-- name: notifications
SELECT id, record FROM notifications WHERE id = ANY($1::bytea[]);

-- The last of the news that has not been counted carries the move, so that counting the rows gives what the counters say.
-- name: carry
UPDATE delivery_events SET previous = $2, state = $3
WHERE id = $1 AND kind = 1 AND n = (
    SELECT max(n) FROM delivery_events WHERE id = $1 AND kind = 1 AND previous = state
);

-- name: done
DELETE FROM early_news WHERE id = ANY($1::bytea[]);

-- name: leftover
SELECT id FROM early_news WHERE at < now() - interval '5 seconds' ORDER BY at LIMIT $1;
