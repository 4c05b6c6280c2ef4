-- Ranges of the log that are told again because a person wants it.
CREATE TABLE replays (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    state_since INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- JSON: which events, to whom.
    query TEXT NOT NULL,
    per_minute INTEGER NOT NULL CHECK (per_minute > 0),
    -- events.position: the first and the last that are looked at, and up to where they were.
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    position INTEGER NOT NULL,
    told INTEGER NOT NULL CHECK (told >= 0)
) STRICT;
CREATE INDEX replays_open ON replays (number) WHERE state IN ('running', 'paused');
