-- Two moves that begin at once wait for one another.
-- name: lock
SELECT pg_advisory_xact_lock(4241003);

-- name: moving
SELECT value FROM meta WHERE name = 'moving';

-- name: moved
SELECT value FROM meta WHERE name = 'moved';

-- name: alive
SELECT count(*) FROM processes WHERE NOT given_up AND expires_at > clock_timestamp();

-- Gone when the move has ended.
-- name: make_parts
CREATE TABLE IF NOT EXISTS move_parts (part text PRIMARY KEY, record bytea NOT NULL);

-- name: begin
INSERT INTO meta VALUES ('moving', $1), ('pepper_mark', $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: parts
SELECT part, record FROM move_parts;

-- Lost with the server's last moments, the progress is lost with its rows. Nobody waits for this transaction.
-- name: hurry
SELECT set_config('synchronous_commit', 'off', true), set_config('idle_in_transaction_session_timeout', '60s', true);

-- name: part
SELECT record FROM move_parts WHERE part = $1;

-- name: put_part
INSERT INTO move_parts VALUES ($1, $2) ON CONFLICT (part) DO UPDATE SET record = excluded.record;

-- Keys are forgotten with the row that names them, a day after the youngest of them.
-- name: name_keys
INSERT INTO acceptances (at, count, keys) VALUES ($1, 0, $2);

-- name: put_outbox
INSERT INTO outbox (priority, topic, at, count, records) VALUES ($1, $2, $3, $4, $5);

-- name: number
SELECT
    setval(pg_get_serial_sequence('tenants', 'tenant'), greatest($1::bigint, 1), $1 > 0),
    setval(pg_get_serial_sequence('recipients', 'recipient'), greatest($2::bigint, 1), $2 > 0);

-- name: accepted
UPDATE meta SET value = $1 WHERE name = 'accepted';

-- name: patience
SET LOCAL statement_timeout = 0;

-- name: in_outbox
SELECT topic, sum(count)::bigint FROM outbox GROUP BY topic;

-- name: in_due
SELECT topic, parked, count(*) FROM due GROUP BY topic, parked;

-- name: open
WITH ended AS (DELETE FROM meta WHERE name = 'moving' RETURNING value)
INSERT INTO meta SELECT 'moved', value FROM ended ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: drop_parts
DROP TABLE IF EXISTS move_parts;
