-- The way back from the first step: everything goes.
DROP TABLE meta, tenants, api_keys, types, templates, versions, recipients, suppressions, notifications,
    idempotency_keys, acceptances, outbox, collapse_keys, decisions, delivery_events, early_news, intents, operator_acts,
    due, dead_letters, inbox, breakers, ledger, ledger_moves, ledger_closed, processes, leases;
