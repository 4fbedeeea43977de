-- A day may have many millions of rows, and whoever asks to count them waits.
-- name: patience
SELECT set_config('statement_timeout', '15min', true), set_config('enable_seqscan', 'on', true);

-- name: counters
SELECT level, state, sum(count)::bigint FROM (
    SELECT tenant, level, state, count FROM ledger
    UNION ALL
    SELECT tenant, level, state, moved FROM ledger_moves
) AS counters
WHERE coalesce($1::integer, tenant) = tenant
GROUP BY level, state;

-- name: promised
SELECT (
    (SELECT value FROM meta WHERE name = 'accepted') + (SELECT coalesce(sum(count), 0) FROM acceptances)
)::bigint;

-- Each day with a mark that changes whenever its counters move, also where they come back to the same numbers: which
-- transactions have written its rows.
-- name: days
SELECT day, count(*), sum(writer), bit_xor(writer) FROM (
    SELECT day, xmin::text::bigint AS writer FROM ledger
    UNION ALL
    SELECT day, xmin::text::bigint FROM ledger_moves
) AS counters
GROUP BY day ORDER BY day;

-- name: notifications
SELECT count(*) FROM notifications WHERE id >= $1 AND id < $2;

-- name: decisions
SELECT state, count(*), sum(count)::bigint FROM decisions WHERE id >= $1 AND id < $2 GROUP BY state;

-- name: events
SELECT previous, state, count(*) FROM delivery_events WHERE id >= $1 AND id < $2 GROUP BY previous, state;

-- How many attempts began from `unknown`: a step after one that ended there, made in flight.
-- name: taken_up
SELECT count(*)
FROM delivery_events AS was
JOIN delivery_events AS next ON next.id = was.id AND next.kind = 0 AND next.n = was.n + 1
WHERE was.id >= $1 AND was.id < $2 AND next.id >= $1 AND next.id < $2
    AND was.kind = 0 AND was.state = 'unknown' AND next.previous = 'in_flight';

-- name: intents
SELECT deliveries FROM intents;
