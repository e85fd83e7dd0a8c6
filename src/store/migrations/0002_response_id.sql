-- The id that a host gave to its response: two answers under one id are one answer, told twice.

ALTER TABLE sample ADD COLUMN response_id TEXT;
