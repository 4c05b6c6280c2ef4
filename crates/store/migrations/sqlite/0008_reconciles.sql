-- Runs that compare what is known with a store: its lists since a moment, and its word on each purchase.
CREATE TABLE reconciles (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    source INTEGER NOT NULL REFERENCES sources (number) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
    state_since INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('start', 'period', 'silence', 'command')),
    purchases TEXT NOT NULL CHECK (purchases IN ('open', 'all')),
    -- Lists are compared from here on.
    since INTEGER NOT NULL,
    -- purchases.key up to which purchases were asked about; NULL: none yet.
    position INTEGER,
    -- All of them were.
    walked INTEGER NOT NULL CHECK (walked IN (0, 1)),
    asked INTEGER NOT NULL CHECK (asked >= 0),
    same INTEGER NOT NULL CHECK (same >= 0),
    different INTEGER NOT NULL CHECK (different >= 0),
    failed INTEGER NOT NULL CHECK (failed >= 0),
    last_error TEXT
) STRICT;
-- One at a time: two would only take the quota from each other.
CREATE UNIQUE INDEX reconciles_open ON reconciles (source) WHERE state = 'running';
CREATE INDEX reconciles_by_source ON reconciles (source, number);

-- 1: wanted by the run of its source that is open, not by a notification.
ALTER TABLE lookups ADD COLUMN reconciles INTEGER NOT NULL DEFAULT 0 CHECK (reconciles IN (0, 1));
