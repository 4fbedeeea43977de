-- From where the last look has ended: some may never be settled, and must not keep the others waiting.
-- name: intents_of_the_dead
SELECT intent, deliveries
FROM intents
LEFT JOIN processes USING (process)
WHERE intent > $1 AND coalesce(given_up OR expires_at < clock_timestamp() - interval '1 minute', true)
ORDER BY intent
LIMIT 200;

-- name: events
SELECT id, kind, n, state, detail FROM delivery_events WHERE id = ANY($1::bytea[]);

-- name: forget_intents
DELETE FROM intents WHERE intent = ANY($1::bigint[]);

-- Not before nothing names them any more: until then it must be seen that they are dead.
-- name: forget_processes
DELETE FROM processes
WHERE expires_at < clock_timestamp() - interval '1 hour'
  AND NOT EXISTS (SELECT FROM intents WHERE intents.process = processes.process);

-- The newest stays: its number is what workers compare.
-- name: forget_acts
DELETE FROM operator_acts
WHERE at < clock_timestamp() - interval '1 day' AND act < (SELECT max(act) FROM operator_acts);
