-- Ranges of the log that are told again because a person wants it.
CREATE TABLE replays (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    state_since BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- JSON: which events, to whom. Text from outside is kept as bytes.
    query BYTEA NOT NULL,
    per_minute BIGINT NOT NULL CHECK (per_minute > 0),
    -- events.position: the first and the last that are looked at, and up to where they were.
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    position BIGINT NOT NULL,
    told BIGINT NOT NULL CHECK (told >= 0)
);
CREATE INDEX replays_open ON replays (number) WHERE state IN ('running', 'paused');
