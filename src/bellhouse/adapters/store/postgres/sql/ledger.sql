-- name: count
INSERT INTO ledger_moves (tenant, day, level, state, moved)
SELECT * FROM unnest($1::integer[], $2::integer[], $3::text[], $4::text[], $5::bigint[]);

-- What others commit meanwhile is left for the next time: the statement deletes the rows that it adds up, and no others.
-- name: fold
WITH moves AS (
    DELETE FROM ledger_moves RETURNING tenant, day, level, state, moved
), folded AS (
    INSERT INTO ledger (tenant, day, level, state, count)
    SELECT tenant, day, level, state, sum(moved) FROM moves GROUP BY 1, 2, 3, 4
    ON CONFLICT (tenant, day, level, state) DO UPDATE SET count = ledger.count + excluded.count
)
SELECT count(*) FROM moves;
