-- Stores are asked source by source, so that one which hangs holds up no other: what is due is looked for by source.

DROP INDEX questions_by_time;
CREATE INDEX questions_of_source ON questions (source_id, ask_at);
DROP INDEX lookups_by_time;
-- Those that were given up (ask_at is NULL) are counted by it too.
CREATE INDEX lookups_of_source ON lookups (source_id, ask_at);

-- When a clue was last written: old ones are forgotten.
ALTER TABLE clues ADD COLUMN noted_at BIGINT NOT NULL DEFAULT 0;
UPDATE clues
SET noted_at = coalesce((SELECT received_at FROM notifications ORDER BY number DESC LIMIT 1), 0);
CREATE INDEX clues_by_age ON clues (noted_at);
