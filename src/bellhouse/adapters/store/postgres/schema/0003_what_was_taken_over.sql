-- Whether another process may hold any of an intent's records too. In operator_acts stand, beside the deliveries that were
-- cancelled, the lanes of which records were taken over.
ALTER TABLE intents ADD COLUMN taken_over boolean NOT NULL DEFAULT false;
