-- Cancellations are kept only while a worker may have looked before them; their moment lets the upkeep forget the rest.
ALTER TABLE operator_acts ADD COLUMN at timestamptz NOT NULL DEFAULT now();
