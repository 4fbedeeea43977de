-- One that was replayed and failed again is open once more.
-- name: put
INSERT INTO dead_letters (id, tenant, channel, provider, type, user_id, reason, code, at, record, state, epoch, by, why)
SELECT *, 'open', 0, '', ''
FROM unnest(
    $1::bytea[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
    $10::bytea[]
)
ON CONFLICT (id) DO UPDATE SET
    state = 'open', reason = excluded.reason, code = excluded.code, at = excluded.at, provider = excluded.provider,
    record = excluded.record;

-- What a filter asks comes after it.
-- name: list
SELECT id, tenant, channel, provider, type, user_id, reason, code, at, state, epoch, by, why
FROM dead_letters WHERE id > $1;

-- name: lock_open
SELECT id, tenant, record FROM dead_letters
WHERE id = ANY($1::bytea[]) AND state = 'open' AND coalesce($2::integer, tenant) = tenant
ORDER BY id FOR UPDATE;

-- name: put_away
UPDATE dead_letters SET state = $2, epoch = epoch + $3, by = $4, why = $5 WHERE id = ANY($1::bytea[]);

-- name: depths
SELECT channel, count(*) FROM dead_letters WHERE state = 'open' GROUP BY channel;

-- Its topics have no priority, so it has a relay of its own: beside the deliveries' priority it would be on another log
-- than the rest of that lane, and hold it up when it is away.
-- name: feed
INSERT INTO outbox (priority, topic, at, count, records)
SELECT 'feed', topic, $2, count, records
FROM unnest($1::text[], $3::integer[], $4::bytea[]) AS waiting (topic, count, records);
