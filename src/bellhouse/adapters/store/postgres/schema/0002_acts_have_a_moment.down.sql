ALTER TABLE operator_acts DROP COLUMN at;
