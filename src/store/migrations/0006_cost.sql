-- What an attempt costs by the price that held then, in US dollars; absent without a price.

ALTER TABLE attempt ADD COLUMN cost DOUBLE PRECISION;
