-- Rows are written in the order of their names, so that two writers never wait for one another in a circle.

-- name: add
INSERT INTO meta AS held (name, value) SELECT * FROM unnest($1::text[], $2::bigint[]) AS given (name, value) ORDER BY 1
ON CONFLICT (name) DO UPDATE SET value = held.value + excluded.value;

-- name: heard
SELECT name FROM meta WHERE name = ANY($1::text[]) AND value >= $2;

-- name: begin
INSERT INTO meta AS held (name, value) SELECT name, $2::bigint FROM unnest($1::text[]) AS given (name) ORDER BY 1
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE held.value = 0;

-- name: set
INSERT INTO meta (name, value) SELECT * FROM unnest($1::text[], $2::bigint[]) AS given (name, value) ORDER BY 1
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: signs
SELECT name, value FROM meta WHERE starts_with(name, 'sign:');
