-- How long lanes wait and events are tried, lanes that went on without an event, and repeats that nobody can rule out.

-- A lane goes on without its first event when that has failed for so long; NULL: the lane waits for it.
ALTER TABLE destinations ADD COLUMN skip_after_s BIGINT CHECK (skip_after_s > 0);
-- From its first failure on an event is tried for at least so long, and a destination that takes nothing is served.
ALTER TABLE destinations ADD COLUMN keep_trying_s BIGINT NOT NULL DEFAULT 270000 CHECK (keep_trying_s > 0);

-- When its lane went on without it; NULL: the lane waits for it.
ALTER TABLE parked ADD COLUMN passed_at BIGINT;
-- By it the first events of lanes are found. Only trouble has rows.
CREATE INDEX parked_by_lane ON parked (destination, lane, position);

-- No answer came, so the next attempt may tell it twice.
ALTER TABLE attempts ADD COLUMN may_repeat BOOLEAN NOT NULL DEFAULT false;
-- What was given up is told again by its place. Rare.
CREATE INDEX attempts_given_up ON attempts (destination, position) WHERE state = 'failed';
