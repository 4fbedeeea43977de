-- Two processes that make, drop or add up a day wait for one another. The number is of our choosing.
-- name: lock
SELECT pg_advisory_xact_lock(4241001);

-- name: existing
SELECT child.relname
FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'notifications'::regclass
ORDER BY 1;

-- The days before one of which something waits by their counters.
-- name: waiting
SELECT DISTINCT day FROM (
    SELECT day FROM (
        SELECT day, level, state, count FROM ledger WHERE day < $1
        UNION ALL
        SELECT day, level, state, moved FROM ledger_moves WHERE day < $1
    ) AS counters
    WHERE (level = 'notification' AND state = 'waiting')
       OR (level = 'delivery' AND state IN ('waiting', 'in_flight', 'unknown'))
    GROUP BY day, level, state
    HAVING sum(count) <> 0
) AS found;

-- Whether anything of a day still waits for its end: by its counters, and by the dead letters that wait for an operator.
-- name: pending
SELECT
    EXISTS (
        SELECT FROM (
            SELECT level, state, count FROM ledger WHERE day = $1
            UNION ALL
            SELECT level, state, moved FROM ledger_moves WHERE day = $1
        ) AS counters
        WHERE (level = 'notification' AND state = 'waiting')
           OR (level = 'delivery' AND state IN ('waiting', 'in_flight', 'unknown'))
        GROUP BY level, state
        HAVING sum(count) <> 0
    )
    OR EXISTS (SELECT FROM dead_letters WHERE state = 'open' AND id >= $2 AND id < $3);

-- name: forget_accepted
UPDATE meta
SET value = value - (
    SELECT coalesce(sum(count), 0) FROM (
        SELECT count FROM ledger WHERE day = $1 AND level = 'notification'
        UNION ALL
        SELECT moved FROM ledger_moves WHERE day = $1 AND level = 'notification'
    ) AS counters
)
WHERE name = 'accepted';

-- name: close_day
WITH folded AS (
    DELETE FROM ledger WHERE day = $1 RETURNING tenant, day, level, state, count
), moves AS (
    DELETE FROM ledger_moves WHERE day = $1 RETURNING tenant, day, level, state, moved
)
INSERT INTO ledger_closed (tenant, day, level, state, count)
SELECT tenant, day, level, state, sum(count)
FROM (SELECT * FROM folded UNION ALL SELECT * FROM moves) AS counters (tenant, day, level, state, count)
GROUP BY 1, 2, 3, 4
ON CONFLICT (day, tenant, level, state) DO UPDATE SET count = ledger_closed.count + excluded.count;
