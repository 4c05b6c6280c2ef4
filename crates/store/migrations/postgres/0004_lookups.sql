-- What has to be looked up at a store before more can be said, and what answers where it cannot be asked.

-- Lookups that wait, or that were given up and wait for a person.
CREATE TABLE lookups (
    -- First 16 bytes of a digest of source, name and context: the same lookup waits once.
    id BYTEA PRIMARY KEY CHECK (octet_length(id) = 16),
    source_id BYTEA NOT NULL CHECK (octet_length(source_id) = 16),
    -- In the source's words.
    name BYTEA NOT NULL,
    context BYTEA NOT NULL,
    -- For people.
    why BYTEA NOT NULL,
    -- Not wanted when this purchase is known by then. NULL: wanted in any case.
    unless_known BYTEA CHECK (octet_length(unless_known) = 16),
    -- When it was first wanted.
    asked_since BIGINT NOT NULL,
    -- Not before. NULL: given up.
    ask_at BIGINT,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    last_error BYTEA
);
CREATE INDEX lookups_by_time ON lookups (ask_at, id) WHERE ask_at IS NOT NULL;
-- A clue that comes later wakes those that wait for it.
CREATE INDEX lookups_by_name ON lookups (source_id, name);

-- What answers lookups of a name where the store cannot be asked. Written for such sources only.
CREATE TABLE clues (
    source_id BYTEA NOT NULL CHECK (octet_length(source_id) = 16),
    name BYTEA NOT NULL,
    -- The answer's body, packed.
    answer BYTEA NOT NULL CHECK (octet_length(answer) > 0),
    PRIMARY KEY (source_id, name)
);
