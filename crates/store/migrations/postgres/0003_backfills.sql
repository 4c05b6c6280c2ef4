-- Walks over all customers that bring a destination up to date.
CREATE TABLE backfills (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    destination BIGINT NOT NULL REFERENCES destinations (number) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    -- Why it is paused.
    reason BYTEA CHECK (reason IS NULL OR state = 'paused'),
    state_since BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- customers.number: done up to here, ...
    position BIGINT NOT NULL CHECK (position >= 0),
    -- ... and to be done up to here.
    last BIGINT NOT NULL CHECK (last >= 0),
    total BIGINT NOT NULL CHECK (total >= 0),
    written BIGINT NOT NULL CHECK (written >= 0),
    skipped BIGINT NOT NULL CHECK (skipped >= 0),
    failed BIGINT NOT NULL CHECK (failed >= 0),
    resumed_at BIGINT NOT NULL,
    -- How many were done by then.
    resumed_with BIGINT NOT NULL CHECK (resumed_with >= 0)
);
-- One at a time: two would only take the budget from each other.
CREATE UNIQUE INDEX backfills_open ON backfills (destination) WHERE state IN ('running', 'paused');
CREATE INDEX backfills_by_destination ON backfills (destination, number);

-- Customers whom they could not bring up to date. Bounded for each; all are counted above.
CREATE TABLE backfill_failures (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backfill BIGINT NOT NULL REFERENCES backfills (number) ON DELETE CASCADE,
    customer_id BYTEA NOT NULL CHECK (octet_length(customer_id) = 16),
    reason BYTEA NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX backfill_failures_listed ON backfill_failures (backfill, number);
