-- What apps' backends said that customers bought, and which journal entry told an event.

-- Claims: those that wait for a store, and for a while those that came to an end. Written by the purchases endpoint and by
-- the answers that it waits for; other notifications read it only for purchases that nobody knows yet.
CREATE TABLE claims (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    source_id BLOB NOT NULL CHECK (length(source_id) = 16),
    -- The id that the customer was named by.
    customer TEXT NOT NULL,
    claimed_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'settled', 'refused')),
    -- Since when it is in that state.
    state_since INTEGER NOT NULL,
    -- The hub's own, as JSON, packed.
    body BLOB NOT NULL CHECK (length(body) > 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_by_customer ON claims (customer, claimed_at);
CREATE INDEX claims_that_wait ON claims (claimed_at) WHERE state = 'waiting';
CREATE INDEX claims_that_ended ON claims (state_since) WHERE state <> 'waiting';

-- What a claim waits for: lookups, or purchases that a store has not told of yet. Both are digests of 16 bytes.
CREATE TABLE claim_waits (
    waits_for BLOB NOT NULL CHECK (length(waits_for) = 16),
    claim_id BLOB NOT NULL CHECK (length(claim_id) = 16),
    is_purchase INTEGER NOT NULL CHECK (is_purchase IN (0, 1)),
    PRIMARY KEY (waits_for, claim_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_waits_by_claim ON claim_waits (claim_id);

-- The journal entry that told an event. NULL: written by a version that did not note it.
ALTER TABLE events ADD COLUMN entry INTEGER;
