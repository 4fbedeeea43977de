-- Who is there already is left as it is, and not answered; two that put the same new recipient wait for one another.
-- name: put_new
INSERT INTO recipients (tenant, user_id, profile, updated_at)
SELECT $1::integer, user_id, profile, $4::bigint
FROM unnest($2::text[], $3::bytea[]) AS given (user_id, profile)
ORDER BY user_id
ON CONFLICT (tenant, user_id) DO NOTHING
RETURNING user_id;

-- Always in the order of their numbers, so that two that lock the same recipients wait for one another in turn.
-- name: lock
SELECT recipient, user_id, profile FROM recipients
WHERE tenant = $1 AND user_id = ANY($2::text[])
ORDER BY recipient FOR UPDATE;

-- name: lock_numbers
SELECT recipient, profile FROM recipients WHERE recipient = ANY($1::bigint[]) ORDER BY recipient FOR UPDATE;

-- name: replace
UPDATE recipients SET profile = given.profile, updated_at = $3
FROM unnest($1::bigint[], $2::bytea[]) AS given (recipient, profile)
WHERE recipients.recipient = given.recipient;

-- What a provider says of her contact points is no change that she made.
-- name: replace_profiles
UPDATE recipients SET profile = given.profile
FROM unnest($1::bigint[], $2::bytea[]) AS given (recipient, profile)
WHERE recipients.recipient = given.recipient;

-- name: find
SELECT recipient, profile FROM recipients WHERE tenant = $1 AND user_id = $2;

-- Whoever keeps recipients' numbers in memory forgets them.
-- name: forget_numbers
UPDATE versions SET version = version + 1 WHERE kind = 'recipient';

-- name: delete
WITH gone AS (
    DELETE FROM recipients WHERE tenant = $1 AND user_id = $2 RETURNING recipient
), unread AS (
    DELETE FROM inbox USING gone WHERE inbox.recipient = gone.recipient
), superseding AS (
    DELETE FROM collapse_keys USING gone WHERE collapse_keys.recipient = gone.recipient
)
SELECT recipient FROM gone;

-- In the order of the key, so that two that suppress the same addresses wait for one another in turn.
-- name: suppress
INSERT INTO suppressions (tenant, address, reason, at, detail)
SELECT tenant, address, reason, at, detail
FROM unnest($1::integer[], $2::text[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY
    AS given (tenant, address, reason, at, detail, place)
ORDER BY tenant, address, place
ON CONFLICT (tenant, address) DO NOTHING;

-- name: suppression
SELECT tenant, address, reason, at, detail FROM suppressions WHERE tenant = $1 AND address = $2;

-- name: lift
DELETE FROM suppressions WHERE tenant = $1 AND address = $2;

-- name: inbox
SELECT record, read_at FROM inbox
WHERE recipient = $1 AND id < $2 AND (expires_at = 0 OR expires_at > $3) AND (read_at = 0 OR NOT $4)
ORDER BY id DESC LIMIT $5;

-- name: unread
SELECT count(*) FROM inbox WHERE recipient = $1 AND read_at = 0 AND (expires_at = 0 OR expires_at > $2);

-- name: mark
UPDATE inbox SET read_at = $1 WHERE recipient = $2 AND id = ANY($3::bytea[]) AND (read_at = 0) = $4;

-- In the order of the key, a page at a time: an operator's act, now and then.
-- name: unseen
SELECT recipient, profile FROM recipients
WHERE recipient > $1 AND updated_at < $2 AND ($4::integer IS NULL OR tenant = $4)
ORDER BY recipient LIMIT $3;

-- name: unseen_locked
SELECT recipient, profile FROM recipients
WHERE recipient > $1 AND updated_at < $2 AND ($4::integer IS NULL OR tenant = $4)
ORDER BY recipient LIMIT $3 FOR UPDATE;
