-- The first schema. Same numbers and names as for SQLite; what differs follows from the engine:
-- * Ordinary indexes instead of chains, buckets and hashed row keys: pages are PostgreSQL's business.
-- * Text that comes from outside is BYTEA (UTF-8), because TEXT cannot hold U+0000 and sorts by a collation.
-- * Instants are BIGINT milliseconds since 1970 (UTC) and end in _at. Ids are BYTEA of 16 bytes, without their prefix.
-- * "packed" columns hold one byte that names the form (0 plain, 1 zstd with dictionary 1), then the bytes: src/pack.rs.

-- Settings of the installation, by name.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

-- The ends of the logs, written once in every transaction that moves them: what is missing at the end of a log is found
-- by it, and numbers have no gaps, which a sequence would leave after each rollback.
CREATE TABLE heads (
    partition SMALLINT PRIMARY KEY CHECK (partition = 0),
    -- Last journal entry and its chain digest; 0 and 32 zero bytes: none.
    entry BIGINT NOT NULL CHECK (entry >= 0),
    chain BYTEA NOT NULL CHECK (octet_length(chain) = 32),
    -- Last position of the event log; 0: none.
    position BIGINT NOT NULL CHECK (position >= 0),
    -- Number of the last notification; 0: none.
    notification BIGINT NOT NULL CHECK (notification >= 0),
    -- Number of the last customer; 0: none.
    customer BIGINT NOT NULL CHECK (customer >= 0)
);
INSERT INTO heads (partition, entry, chain, position, notification, customer)
VALUES (0, 0, decode(repeat('00', 32), 'hex'), 0, 0, 0);

-- The catalogue as it is now, whole, as JSON. Absent: the empty one of revision 0.
CREATE TABLE catalogue (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    revision BIGINT NOT NULL CHECK (revision >= 0),
    body BYTEA NOT NULL
);

-- What sources received, byte for byte.
CREATE TABLE notifications (
    number BIGINT PRIMARY KEY CHECK (number > 0),
    id BYTEA NOT NULL CHECK (octet_length(id) = 16),
    source_id BYTEA NOT NULL CHECK (octet_length(source_id) = 16),
    external_id BYTEA NOT NULL,
    label BYTEA NOT NULL,
    received_at BIGINT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('observed', 'test', 'unknown', 'informative')),
    -- NULL: it was about no purchase.
    purchase_id BYTEA CHECK (octet_length(purchase_id) = 16),
    -- The body went through the source's own pack.
    body_packed BOOLEAN NOT NULL,
    -- Digests (16 bytes each) of the parts in shared_parts, in the order in which the source needs them.
    shared BYTEA NOT NULL CHECK (octet_length(shared) % 16 = 0),
    -- packed
    body BYTEA NOT NULL CHECK (octet_length(body) > 0),
    -- First 4 bytes of the SHA-256 of each column above, in this order: they name a column that was changed.
    digests BYTEA NOT NULL CHECK (octet_length(digests) = 44),
    -- First 16 bytes of the SHA-256 over the whole digests of the columns above. The journal repeats it.
    seal BYTEA NOT NULL CHECK (octet_length(seal) = 16)
);
-- Deduplicates what concerns no purchase (the others are known by their purchase).
CREATE UNIQUE INDEX notifications_without_purchase ON notifications (id) WHERE purchase_id IS NULL;
CREATE INDEX notifications_by_id ON notifications (id, number);
-- The operator's list of what is odd. Few rows.
CREATE INDEX notifications_notable ON notifications (outcome, number) WHERE outcome <> 'observed';

-- Parts that many notifications share (certificate chains), stored once. A handful of rows.
CREATE TABLE shared_parts (
    -- First 16 bytes of the SHA-256 of the part.
    digest BYTEA PRIMARY KEY CHECK (octet_length(digest) = 16),
    -- packed
    body BYTEA NOT NULL CHECK (octet_length(body) > 0)
);

-- What was decided on: folding it gives events, purchases, customers, aliases and the catalogue again.
CREATE TABLE journal (
    entry BIGINT PRIMARY KEY CHECK (entry > 0),
    decided_at BIGINT NOT NULL,
    engine_version BIGINT NOT NULL CHECK (engine_version >= 0),
    catalogue_revision BIGINT NOT NULL CHECK (catalogue_revision >= 0),
    policy_revision BIGINT NOT NULL CHECK (policy_revision >= 0),
    seed BYTEA NOT NULL CHECK (octet_length(seed) = 16),
    -- The command as JSON, packed.
    input BYTEA NOT NULL CHECK (octet_length(input) > 0),
    -- Ids (16 bytes each) of the notifications that it read.
    notifications BYTEA NOT NULL CHECK (octet_length(notifications) % 16 = 0),
    -- Number of the first notification kept with this entry; the others follow it. 0: none was kept.
    kept_from BIGINT NOT NULL CHECK (kept_from >= 0),
    -- Their seals (16 bytes each).
    kept BYTEA NOT NULL CHECK (octet_length(kept) % 16 = 0 AND (octet_length(kept) = 0) = (kept_from = 0)),
    -- First 4 bytes of the SHA-256 of each column above, in this order.
    digests BYTEA NOT NULL CHECK (octet_length(digests) = 40),
    -- SHA-256 over the chain of the entry before and the whole digests of the columns above.
    chain BYTEA NOT NULL CHECK (octet_length(chain) = 32)
);

-- What we say happened. Immutable, without gaps.
CREATE TABLE events (
    position BIGINT PRIMARY KEY CHECK (position > 0),
    id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    type TEXT NOT NULL,
    environment TEXT NOT NULL CHECK (environment IN ('PRODUCTION', 'SANDBOX')),
    source_id BYTEA NOT NULL CHECK (octet_length(source_id) = 16),
    customer_id BYTEA NOT NULL CHECK (octet_length(customer_id) = 16),
    purchase_id BYTEA NOT NULL CHECK (octet_length(purchase_id) = 16),
    detected_at BIGINT NOT NULL,
    -- The latest detected_at up to here. It only grows, even when the clock was set back.
    latest_at BIGINT NOT NULL CHECK (latest_at >= detected_at),
    -- The event's JSON, packed.
    body BYTEA NOT NULL CHECK (octet_length(body) > 0)
);
CREATE INDEX events_by_customer ON events (customer_id, position);
CREATE INDEX events_by_purchase ON events (purchase_id, position);
CREATE INDEX events_by_time ON events (latest_at, position);

-- Purchases, one row each, written whole; a page keeps room for the next version of its rows.
CREATE TABLE purchases (
    id BYTEA PRIMARY KEY CHECK (octet_length(id) = 16),
    customer_id BYTEA NOT NULL CHECK (octet_length(customer_id) = 16),
    -- The journal entry that made it: purchases of a customer are listed by it.
    first_entry BIGINT NOT NULL CHECK (first_entry >= 0),
    -- The purchase's own, as in its body.
    next_deadline_at BIGINT,
    -- The same until it was looked at.
    due_at BIGINT,
    -- Its id in Discord's shape, minted from its start. NULL: it has none yet.
    snowflake BIGINT UNIQUE CHECK (snowflake >= 0),
    -- The purchase as JSON, packed.
    body BYTEA NOT NULL CHECK (octet_length(body) > 0)
) WITH (fillfactor = 80);
CREATE INDEX purchases_by_customer ON purchases (customer_id, first_entry, id);
CREATE INDEX purchases_due ON purchases (due_at, id) WHERE due_at IS NOT NULL;

-- Customers, one row each, written whole.
CREATE TABLE customers (
    id BYTEA PRIMARY KEY CHECK (octet_length(id) = 16),
    -- In the order in which they were made.
    number BIGINT NOT NULL UNIQUE CHECK (number > 0),
    -- NULL: was not merged.
    merged_into BYTEA CHECK (octet_length(merged_into) = 16 AND merged_into <> id),
    -- Its id in Discord's shape, minted from when it was first seen.
    snowflake BIGINT NOT NULL UNIQUE CHECK (snowflake >= 0),
    -- The customer as JSON, packed.
    body BYTEA NOT NULL CHECK (octet_length(body) > 0)
) WITH (fillfactor = 80);
CREATE INDEX customers_merged ON customers (merged_into, id) WHERE merged_into IS NOT NULL;

-- Other ids of customers. Found by their digest, because an index takes no key of several kilobytes.
CREATE TABLE aliases (
    digest BYTEA PRIMARY KEY CHECK (digest = sha256(alias)),
    alias BYTEA NOT NULL,
    customer_id BYTEA NOT NULL CHECK (octet_length(customer_id) = 16)
);
-- Only for walking through all of them.
CREATE INDEX aliases_listed ON aliases (substring(alias FROM 1 FOR 64));

-- Questions that wait for a store, one per purchase (which may not be known yet).
CREATE TABLE questions (
    purchase_id BYTEA PRIMARY KEY CHECK (octet_length(purchase_id) = 16),
    source_id BYTEA NOT NULL CHECK (octet_length(source_id) = 16),
    store_purchase_id BYTEA NOT NULL,
    why BYTEA NOT NULL,
    -- When it was first due.
    asked_since BIGINT NOT NULL,
    -- Not before.
    ask_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    last_error BYTEA
);
CREATE INDEX questions_by_time ON questions (ask_at, purchase_id);

-- Where notifications come from.
CREATE TABLE sources (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    kind TEXT NOT NULL,
    name BYTEA NOT NULL,
    -- JSON; secrets in it are encrypted by the hub.
    settings BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- Where events go.
CREATE TABLE destinations (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    kind TEXT NOT NULL,
    name BYTEA NOT NULL,
    -- JSON; secrets in it are encrypted by the hub.
    settings BYTEA NOT NULL,
    lane_order TEXT NOT NULL CHECK (lane_order IN ('purchase', 'customer', 'none')),
    -- Filters with the position from which each holds, oldest first, as JSON.
    filters BYTEA NOT NULL,
    start TEXT NOT NULL CHECK (start IN ('now', 'beginning', 'at')),
    start_at BIGINT CHECK ((start_at IS NOT NULL) = (start = 'at')),
    state TEXT NOT NULL CHECK (state IN ('active', 'paused', 'switched_off')),
    state_reason BYTEA,
    state_since BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- How far a destination has come.
CREATE TABLE progress (
    destination BIGINT NOT NULL REFERENCES destinations (number) ON DELETE CASCADE,
    partition SMALLINT NOT NULL CHECK (partition = 0),
    -- Everything up to here is settled or parked.
    cursor BIGINT NOT NULL CHECK (cursor >= 0),
    -- Settled ranges above it: JSON list of [first, last].
    settled TEXT NOT NULL,
    PRIMARY KEY (destination, partition)
);

-- Events that wait for their next try, or behind one in their lane. Only trouble gets a row.
CREATE TABLE parked (
    destination BIGINT NOT NULL REFERENCES destinations (number) ON DELETE CASCADE,
    partition SMALLINT NOT NULL CHECK (partition = 0),
    position BIGINT NOT NULL CHECK (position > 0),
    event_id BYTEA NOT NULL CHECK (octet_length(event_id) = 16),
    lane BYTEA NOT NULL,
    -- 0: it waits behind another.
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    parked_at BIGINT NOT NULL,
    next_try_at BIGINT NOT NULL,
    last_error BYTEA,
    -- A person asked for it.
    replay BOOLEAN NOT NULL,
    PRIMARY KEY (destination, partition, position)
);

-- Tries at delivering, appended in bulk, kept for a set time.
CREATE TABLE attempts (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- destinations.number; no foreign key, because the attempts of a deleted destination are swept in slices.
    destination BIGINT NOT NULL,
    position BIGINT NOT NULL CHECK (position >= 0),
    event_id BYTEA NOT NULL CHECK (octet_length(event_id) = 16),
    attempt BIGINT NOT NULL CHECK (attempt > 0),
    at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL CHECK (duration_ms >= 0),
    -- HTTP status; NULL: no answer.
    status INTEGER CHECK (status BETWEEN 0 AND 65535),
    state TEXT NOT NULL CHECK (state IN ('delivered', 'retrying', 'failed', 'skipped')),
    detail BYTEA
);
CREATE INDEX attempts_by_event ON attempts (event_id, number);
CREATE INDEX attempts_by_destination ON attempts (destination, number);
-- Trouble is rare.
CREATE INDEX attempts_in_trouble ON attempts (state, number) WHERE state <> 'delivered';

-- Access keys, never in clear.
CREATE TABLE api_keys (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    name BYTEA NOT NULL,
    -- SHA-256 of the key.
    hash BYTEA NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
    -- JSON list of words.
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

-- Answers given for an Idempotency-Key.
CREATE TABLE idempotency (
    key BYTEA PRIMARY KEY,
    -- SHA-256 of method, path and body.
    request BYTEA NOT NULL CHECK (octet_length(request) = 32),
    status INTEGER NOT NULL CHECK (status BETWEEN 100 AND 599),
    body BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_by_time ON idempotency (created_at);
