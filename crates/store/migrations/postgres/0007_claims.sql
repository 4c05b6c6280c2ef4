-- What apps' backends said that customers bought, and which journal entry told an event.

-- Claims: those that wait for a store, and for a while those that came to an end.
CREATE TABLE claims (
    id BYTEA PRIMARY KEY CHECK (octet_length(id) = 16),
    source_id BYTEA NOT NULL CHECK (octet_length(source_id) = 16),
    -- The id that the customer was named by.
    customer BYTEA NOT NULL,
    claimed_at BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'settled', 'refused')),
    -- Since when it is in that state.
    state_since BIGINT NOT NULL,
    -- The hub's own, as JSON, packed.
    body BYTEA NOT NULL CHECK (octet_length(body) > 0)
);
-- By the digest: an index takes no key of several kilobytes.
CREATE INDEX claims_by_customer ON claims (sha256(customer), claimed_at);
CREATE INDEX claims_that_wait ON claims (claimed_at) WHERE state = 'waiting';
CREATE INDEX claims_that_ended ON claims (state_since) WHERE state <> 'waiting';

-- What a claim waits for: lookups, or purchases that a store has not told of yet. Both are digests of 16 bytes.
CREATE TABLE claim_waits (
    waits_for BYTEA NOT NULL CHECK (octet_length(waits_for) = 16),
    claim_id BYTEA NOT NULL CHECK (octet_length(claim_id) = 16),
    is_purchase BOOLEAN NOT NULL,
    PRIMARY KEY (waits_for, claim_id)
);
CREATE INDEX claim_waits_by_claim ON claim_waits (claim_id);

-- The journal entry that told an event. NULL: written by a version that did not note it.
ALTER TABLE events ADD COLUMN entry BIGINT;
