-- Held alone by who cancels and by who takes records over, together by who is about to send or to hold back.
-- name: share
SELECT pg_advisory_xact_lock_shared(4241002);

-- name: alone
SELECT pg_advisory_xact_lock(4241002);

-- What has been done since, the oldest that is still known, and whether the others trust this process.
-- name: since
SELECT
    ARRAY(SELECT delivery FROM operator_acts WHERE act > $1),
    (SELECT coalesce(min(act), 1) FROM operator_acts),
    EXISTS (SELECT FROM processes WHERE process = $2 AND NOT given_up AND expires_at > clock_timestamp());

-- name: mark
INSERT INTO operator_acts (delivery) SELECT * FROM unnest($1::bytea[]);

-- name: named
SELECT deliveries FROM intents WHERE lane = ANY($1::text[]);

-- name: named_by_others
SELECT deliveries FROM intents WHERE taken_over AND process <> $1;
