-- Each sweep looks at one page of a table in the order of its primary key, from where the page before has ended, and
-- answers its last key, how many rows it had, and how many of them are gone. What somebody else has locked stays until
-- the next time round: a sweep waits for nobody, so it stands in no circle.

-- name: open_letters
SELECT id FROM dead_letters WHERE state = 'open' AND id >= $1 AND id < $2 ORDER BY id LIMIT 200;

-- What was cancelled or has ended while it waited, of days that are to be dropped: it would find no trace of that any
-- more. It does wait for who is releasing a row just now: none may be left.
-- name: forget_due
WITH page AS MATERIALIZED (
    SELECT due_at, id FROM due WHERE (due_at, id) > ($3::bigint, $4::bytea) ORDER BY due_at, id LIMIT 200
), over AS MATERIALIZED (
    SELECT due_at, id FROM page
    WHERE EXISTS (
        SELECT FROM unnest($1::bytea[], $2::bytea[]) AS day (low, high) WHERE page.id >= low AND page.id < high
    )
), gone AS (
    DELETE FROM due USING over WHERE due.due_at = over.due_at AND due.id = over.id RETURNING true
)
SELECT due_at, id, count(*) OVER (), (SELECT count(*) FROM gone) FROM page ORDER BY due_at DESC, id DESC LIMIT 1;

-- name: forget_letters
WITH page AS MATERIALIZED (
    SELECT id, state FROM dead_letters WHERE id > $2 AND id < $1 ORDER BY id LIMIT 200
), over AS MATERIALIZED (
    SELECT held.id FROM page JOIN dead_letters AS held USING (id)
    WHERE page.state <> 'open' AND held.state <> 'open'
    FOR UPDATE OF held SKIP LOCKED
), gone AS (
    DELETE FROM dead_letters USING over WHERE dead_letters.id = over.id RETURNING true
)
SELECT id, count(*) OVER (), (SELECT count(*) FROM gone) FROM page ORDER BY id DESC LIMIT 1;

-- An item with a time of its own keeps to that; one without goes with its day.
-- name: forget_inbox
WITH page AS MATERIALIZED (
    SELECT recipient, id, expires_at FROM inbox
    WHERE (recipient, id) > ($3::bigint, $4::bytea) ORDER BY recipient, id LIMIT 200
), over AS MATERIALIZED (
    SELECT held.recipient, held.id FROM page JOIN inbox AS held USING (recipient, id)
    WHERE CASE page.expires_at WHEN 0 THEN page.id < $1 ELSE page.expires_at <= $2 END
    FOR UPDATE OF held SKIP LOCKED
), gone AS (
    DELETE FROM inbox USING over WHERE inbox.recipient = over.recipient AND inbox.id = over.id RETURNING true
)
SELECT recipient, id, count(*) OVER (), (SELECT count(*) FROM gone)
FROM page ORDER BY recipient DESC, id DESC LIMIT 1;

-- A key that somebody has just taken anew has a younger id, and stays.
-- name: forget_collapse_keys
WITH page AS MATERIALIZED (
    SELECT recipient, collapse_key, id FROM collapse_keys
    WHERE (recipient, collapse_key) > ($2::bigint, $3::text) ORDER BY recipient, collapse_key LIMIT 200
), over AS MATERIALIZED (
    SELECT held.recipient, held.collapse_key FROM page JOIN collapse_keys AS held USING (recipient, collapse_key)
    WHERE page.id < $1 AND held.id < $1
    FOR UPDATE OF held SKIP LOCKED
), gone AS (
    DELETE FROM collapse_keys AS held USING over
    WHERE held.recipient = over.recipient AND held.collapse_key = over.collapse_key
    RETURNING true
)
SELECT recipient, collapse_key, count(*) OVER (), (SELECT count(*) FROM gone)
FROM page ORDER BY recipient DESC, collapse_key DESC LIMIT 1;
