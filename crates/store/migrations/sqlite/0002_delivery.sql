-- What keeps deliveries bounded: backlogs end, destinations remember, old rows are forgotten.

-- So many events may wait for a destination; beyond it, it is switched off with a gap on record.
ALTER TABLE destinations ADD COLUMN max_backlog INTEGER NOT NULL DEFAULT 1000000 CHECK (max_backlog > 0);
-- Its gaps, oldest first, as JSON. An open one does not hold the log back from being pruned.
ALTER TABLE destinations ADD COLUMN gaps TEXT NOT NULL DEFAULT '[]';

-- Since when nothing was taken any more; NULL: the last attempt was. Kept, so that a restart does not begin to count anew.
ALTER TABLE progress ADD COLUMN failing_since INTEGER;

-- What destinations remember about customers (remote ids). A cache: the oldest are forgotten.
CREATE TABLE memories (
    -- Grows with every writing: the order in which they are forgotten.
    number INTEGER PRIMARY KEY,
    destination INTEGER NOT NULL REFERENCES destinations (number) ON DELETE CASCADE,
    -- The customer's id.
    key BLOB NOT NULL,
    -- The destination's own JSON.
    body BLOB NOT NULL,
    UNIQUE (destination, key)
) STRICT;
CREATE INDEX memories_by_age ON memories (destination, number);

-- Everything up to here was pruned; 0: nothing. Rows are pruned from the beginning on only, so what is left has no gaps.
ALTER TABLE heads ADD COLUMN pruned_notification INTEGER NOT NULL DEFAULT 0 CHECK (pruned_notification >= 0);
ALTER TABLE heads ADD COLUMN pruned_position INTEGER NOT NULL DEFAULT 0 CHECK (pruned_position >= 0);
-- Events up to here borrow nothing from notifications any more (events.borrows_from).
ALTER TABLE heads ADD COLUMN repaid_position INTEGER NOT NULL DEFAULT 0 CHECK (repaid_position >= 0);
