-- What has to be looked up at a store before more can be said, and what answers where it cannot be asked.
-- Only notifications that do not say enough write here: refunds, disputes, invoices of unknown subscriptions.

-- Lookups that wait, or that were given up and wait for a person.
CREATE TABLE lookups (
    -- First 16 bytes of a digest of source, name and context: the same lookup waits once.
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    source_id BLOB NOT NULL CHECK (length(source_id) = 16),
    -- In the source's words.
    name TEXT NOT NULL,
    context TEXT NOT NULL,
    -- For people.
    why TEXT NOT NULL,
    -- Not wanted when this purchase is known by then. NULL: wanted in any case.
    unless_known BLOB CHECK (length(unless_known) = 16),
    -- When it was first wanted.
    asked_since INTEGER NOT NULL,
    -- Not before. NULL: given up.
    ask_at INTEGER,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX lookups_by_time ON lookups (ask_at) WHERE ask_at IS NOT NULL;
-- A clue that comes later wakes those that wait for it.
CREATE INDEX lookups_by_name ON lookups (source_id, name);

-- What answers lookups of a name where the store cannot be asked. Written for such sources only.
CREATE TABLE clues (
    source_id BLOB NOT NULL CHECK (length(source_id) = 16),
    name TEXT NOT NULL,
    -- The answer's body, packed.
    answer BLOB NOT NULL CHECK (length(answer) > 0),
    PRIMARY KEY (source_id, name)
) STRICT, WITHOUT ROWID;
