-- name: join
INSERT INTO processes (process, record, expires_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (process) DO UPDATE SET record = excluded.record, expires_at = excluded.expires_at
WHERE NOT processes.given_up;

-- One that was away for longer than its lease may go on, unless somebody has given it up meanwhile.
-- name: renew
UPDATE processes SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE process = $1 AND NOT given_up;

-- What stands still in a transaction, in the middle of what it says to the server, keeps its locks for ever: such a
-- session counts as active, and its timeouts are for idle ones. Of a process that is silent it is ended from outside.
-- name: end_sessions
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE application_name = ANY($1::text[]) AND datname = current_database()
    AND xact_start IS NOT NULL AND wait_event_type = 'Client'
    AND state_change < clock_timestamp() - make_interval(secs => $2);

-- name: leave
DELETE FROM processes WHERE process = $1;

-- name: members
SELECT record FROM processes WHERE NOT given_up AND expires_at > clock_timestamp() ORDER BY process;

-- Who has been silent for not too long, told to the first of those who are not: one is enough to look after all.
-- name: silent
SELECT process FROM processes
WHERE expires_at BETWEEN clock_timestamp() - interval '10 minutes' AND clock_timestamp()
    AND $1 = (SELECT min(process) FROM processes WHERE NOT given_up AND expires_at > clock_timestamp());

-- name: take
INSERT INTO leases AS held (name, process, token, expires_at)
VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE SET
    process = excluded.process,
    token = CASE WHEN held.process = excluded.process THEN held.token ELSE held.token + 1 END,
    expires_at = excluded.expires_at
WHERE held.process = excluded.process OR held.expires_at <= clock_timestamp()
RETURNING token;

-- name: release
UPDATE leases SET expires_at = '-infinity' WHERE name = $1 AND process = $2;
