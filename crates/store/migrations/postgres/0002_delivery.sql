-- What keeps deliveries bounded: backlogs end, destinations remember, old rows are forgotten.

-- So many events may wait for a destination; beyond it, it is switched off with a gap on record.
ALTER TABLE destinations ADD COLUMN max_backlog BIGINT NOT NULL DEFAULT 1000000 CHECK (max_backlog > 0);
-- Its gaps, oldest first, as JSON.
ALTER TABLE destinations ADD COLUMN gaps BYTEA NOT NULL DEFAULT convert_to('[]', 'UTF8');
-- The last of them is not decided yet: it does not hold the log back from being pruned.
ALTER TABLE destinations ADD COLUMN has_open_gap BOOLEAN NOT NULL DEFAULT false;

-- Since when nothing was taken any more; NULL: the last attempt was.
ALTER TABLE progress ADD COLUMN failing_since BIGINT;

-- What destinations remember about customers (remote ids). A cache: the oldest are forgotten.
CREATE TABLE memories (
    -- Grows with every writing: the order in which they are forgotten.
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination BIGINT NOT NULL REFERENCES destinations (number) ON DELETE CASCADE,
    -- The customer's id.
    key BYTEA NOT NULL,
    -- The destination's own JSON.
    body BYTEA NOT NULL,
    UNIQUE (destination, key)
);
CREATE INDEX memories_by_age ON memories (destination, number);

-- Everything up to here was pruned; 0: nothing. Rows are pruned from the beginning on only, so what is left has no gaps.
ALTER TABLE heads ADD COLUMN pruned_notification BIGINT NOT NULL DEFAULT 0 CHECK (pruned_notification >= 0);
ALTER TABLE heads ADD COLUMN pruned_position BIGINT NOT NULL DEFAULT 0 CHECK (pruned_position >= 0);
