-- Walks over all customers that bring a destination up to date.
CREATE TABLE backfills (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    destination INTEGER NOT NULL REFERENCES destinations (number) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    -- Why it is paused.
    reason TEXT CHECK (reason IS NULL OR state = 'paused'),
    state_since INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- customers_by_age.number: done up to here, ...
    position INTEGER NOT NULL CHECK (position >= 0),
    -- ... and to be done up to here.
    last INTEGER NOT NULL CHECK (last >= 0),
    total INTEGER NOT NULL CHECK (total >= 0),
    written INTEGER NOT NULL CHECK (written >= 0),
    skipped INTEGER NOT NULL CHECK (skipped >= 0),
    failed INTEGER NOT NULL CHECK (failed >= 0),
    resumed_at INTEGER NOT NULL,
    -- How many were done by then.
    resumed_with INTEGER NOT NULL CHECK (resumed_with >= 0)
) STRICT;
-- One at a time: two would only take the budget from each other.
CREATE UNIQUE INDEX backfills_open ON backfills (destination) WHERE state IN ('running', 'paused');
CREATE INDEX backfills_by_destination ON backfills (destination, number);

-- Customers whom they could not bring up to date. Bounded for each; all are counted above.
CREATE TABLE backfill_failures (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    backfill INTEGER NOT NULL REFERENCES backfills (number) ON DELETE CASCADE,
    customer_id BLOB NOT NULL CHECK (length(customer_id) = 16),
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX backfill_failures_listed ON backfill_failures (backfill, number);
