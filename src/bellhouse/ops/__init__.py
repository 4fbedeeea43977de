"""The operator's acts and questions: what became of a notification, dead letters, breakers, the ledger."""
