DELETE FROM operator_acts WHERE length(delivery) <> 16;
ALTER TABLE intents DROP COLUMN taken_over;
