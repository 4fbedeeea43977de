-- name: version
SELECT version FROM versions WHERE kind = 'recipient';

-- name: numbers
SELECT user_id, recipient FROM recipients WHERE tenant = $1 AND user_id = ANY($2::text[]);
