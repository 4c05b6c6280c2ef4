-- Runs that compare what is known with a store: its lists since a moment, and its word on each purchase.
CREATE TABLE reconciles (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    source BIGINT NOT NULL REFERENCES sources (number) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
    state_since BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('start', 'period', 'silence', 'command')),
    purchases TEXT NOT NULL CHECK (purchases IN ('open', 'all')),
    -- Lists are compared from here on.
    since BIGINT NOT NULL,
    -- purchases.number up to which purchases were asked about; NULL: none yet.
    position BIGINT,
    -- All of them were.
    walked BOOLEAN NOT NULL,
    asked BIGINT NOT NULL CHECK (asked >= 0),
    same BIGINT NOT NULL CHECK (same >= 0),
    different BIGINT NOT NULL CHECK (different >= 0),
    failed BIGINT NOT NULL CHECK (failed >= 0),
    last_error BYTEA
);
-- One at a time: two would only take the quota from each other.
CREATE UNIQUE INDEX reconciles_open ON reconciles (source) WHERE state = 'running';
CREATE INDEX reconciles_by_source ON reconciles (source, number);

-- Wanted by the run of its source that is open, not by a notification.
ALTER TABLE lookups ADD COLUMN reconciles BOOLEAN NOT NULL DEFAULT false;

-- The order in which a run walks through all purchases.
ALTER TABLE purchases ADD COLUMN number BIGINT GENERATED ALWAYS AS IDENTITY;
CREATE UNIQUE INDEX purchases_walked ON purchases (number);
