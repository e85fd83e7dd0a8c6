-- Tokens of thinking, where the host counts them apart from those of the answer.

ALTER TABLE sample ADD COLUMN reasoning_tokens BIGINT;
