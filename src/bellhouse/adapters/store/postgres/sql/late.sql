-- name: standing
SELECT id, n, state, at, detail
FROM delivery_events
WHERE id = ANY($1::bytea[]) AND kind = 0;

-- name: keep
WITH news AS (
    INSERT INTO delivery_events (id, kind, n, state, previous, at, source, detail)
    SELECT $1, 1, $2, state, state, $3, 'news', $4
    FROM delivery_events WHERE id = $1 AND kind = 0 ORDER BY n DESC LIMIT 1
    ON CONFLICT (id, kind, n) DO NOTHING
)
INSERT INTO early_news (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET at = excluded.at;
