-- name: join
INSERT INTO processes (process, record, expires_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (process) DO UPDATE SET record = excluded.record, expires_at = excluded.expires_at
WHERE NOT processes.given_up;

-- One that was away for longer than its lease may go on, unless somebody has given it up meanwhile.
-- name: renew
UPDATE processes SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE process = $1 AND NOT given_up;

-- name: leave
DELETE FROM processes WHERE process = $1;

-- name: members
SELECT record FROM processes WHERE NOT given_up AND expires_at > clock_timestamp() ORDER BY process;

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
