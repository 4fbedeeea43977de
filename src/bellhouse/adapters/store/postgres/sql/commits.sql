-- Whether a transaction may be committed yet. One that is younger than ours was made by another server.
-- name: may_come_yet
SELECT CASE
    WHEN $1::text::xid8 < pg_current_xact_id() THEN coalesce(pg_xact_status($1::text::xid8) = 'in progress', false)
    ELSE false
END;
