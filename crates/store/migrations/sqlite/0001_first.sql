-- The first schema. Conventions:
-- * Instants are INTEGER milliseconds since 1970 (UTC) and end in _at. Ids are BLOBs of 16 bytes, without their prefix.
-- * "packed" BLOBs hold one byte that names the form (0 plain, 1 zstd with dictionary 1), then the bytes: src/pack.rs.
-- * Log tables (notifications, journal, events, attempts) are only ever appended to, so that a commit writes their last
--   pages and nothing else. A notification touches two random pages: its purchase's row and its customer's row. Every
--   index below says why it does not add a third.

-- Settings of the installation, by name (check value of the master key ...). Written by hand, not by notifications.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The ends of the logs, written once in every transaction: what is missing at the end of a log is found by it.
CREATE TABLE heads (
    partition INTEGER PRIMARY KEY CHECK (partition = 0),
    -- Last journal entry and its chain digest; 0 and 32 zero bytes: none.
    entry INTEGER NOT NULL CHECK (entry >= 0),
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    -- Last position of the event log; 0: none.
    position INTEGER NOT NULL CHECK (position >= 0),
    -- Number of the last notification; 0: none.
    notification INTEGER NOT NULL CHECK (notification >= 0)
) STRICT;
INSERT INTO heads (partition, entry, chain, position, notification) VALUES (0, 0, zeroblob(32), 0, 0);

-- The catalogue as it is now, whole, as JSON. Absent: the empty one of revision 0.
CREATE TABLE catalogue (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL CHECK (revision >= 0),
    body BLOB NOT NULL
) STRICT;

-- What sources received, byte for byte.
CREATE TABLE notifications (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL CHECK (length(id) = 16),
    source_id BLOB NOT NULL CHECK (length(source_id) = 16),
    external_id TEXT NOT NULL,
    label TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('observed', 'test', 'unknown', 'informative')),
    -- NULL: it was about no purchase.
    purchase_id BLOB CHECK (length(purchase_id) = 16),
    -- The body went through the source's own pack.
    body_packed INTEGER NOT NULL CHECK (body_packed IN (0, 1)),
    -- Digests (16 bytes each) of the parts in shared_parts, in the order in which the source needs them.
    shared BLOB NOT NULL CHECK (length(shared) % 16 = 0),
    -- packed
    body BLOB NOT NULL CHECK (length(body) > 0),
    -- First 4 bytes of the SHA-256 of each column above, in this order: they name a column that was changed.
    digests BLOB NOT NULL CHECK (length(digests) = 44),
    -- First 16 bytes of the SHA-256 over the whole digests of the columns above. The journal repeats it.
    seal BLOB NOT NULL CHECK (length(seal) = 16)
) STRICT;
-- Deduplicates what concerns no purchase (the others are known by their purchase). Few rows, so few random pages.
CREATE UNIQUE INDEX notifications_without_purchase ON notifications (id) WHERE purchase_id IS NULL;
-- The operator's list of what is odd. Few rows.
CREATE INDEX notifications_notable ON notifications (outcome, number) WHERE outcome <> 'observed';

-- Where a notification is, by its id. Ids are random, so an index on them would cost a random page for each
-- notification. Instead 4,096 notifications at a time are filed here, sorted, as one bucket; a look-up tries each
-- bucket and then the unfiled end of the table.
CREATE TABLE notification_places (
    bucket INTEGER NOT NULL,
    -- First 8 bytes of the id.
    id_start BLOB NOT NULL CHECK (length(id_start) = 8),
    number INTEGER NOT NULL,
    PRIMARY KEY (bucket, id_start, number)
) STRICT, WITHOUT ROWID;

-- Parts that many notifications share (certificate chains), stored once. A handful of rows.
CREATE TABLE shared_parts (
    number INTEGER PRIMARY KEY,
    -- First 16 bytes of the SHA-256 of the part.
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 16),
    -- packed
    body BLOB NOT NULL CHECK (length(body) > 0)
) STRICT;

-- What was decided on: folding it gives events, purchases, customers, aliases and the catalogue again.
CREATE TABLE journal (
    entry INTEGER PRIMARY KEY CHECK (entry > 0),
    decided_at INTEGER NOT NULL,
    engine_version INTEGER NOT NULL CHECK (engine_version >= 0),
    catalogue_revision INTEGER NOT NULL CHECK (catalogue_revision >= 0),
    policy_revision INTEGER NOT NULL CHECK (policy_revision >= 0),
    seed BLOB NOT NULL CHECK (length(seed) = 16),
    -- The command as JSON, packed.
    input BLOB NOT NULL CHECK (length(input) > 0),
    -- Ids (16 bytes each) of the notifications that it read.
    notifications BLOB NOT NULL CHECK (length(notifications) % 16 = 0),
    -- Number of the first notification kept with this entry; the others follow it. 0: none was kept.
    kept_from INTEGER NOT NULL CHECK (kept_from >= 0),
    -- Their seals (16 bytes each).
    kept BLOB NOT NULL CHECK (length(kept) % 16 = 0 AND (length(kept) = 0) = (kept_from = 0)),
    -- First 4 bytes of the SHA-256 of each column above, in this order.
    digests BLOB NOT NULL CHECK (length(digests) = 40),
    -- SHA-256 over the chain of the entry before and the whole digests of the columns above.
    chain BLOB NOT NULL CHECK (length(chain) = 32)
) STRICT;

-- What we say happened. Immutable, without gaps.
CREATE TABLE events (
    position INTEGER PRIMARY KEY CHECK (position > 0),
    id BLOB NOT NULL CHECK (length(id) = 16),
    type TEXT NOT NULL,
    environment TEXT NOT NULL CHECK (environment IN ('PRODUCTION', 'SANDBOX')),
    source_id BLOB NOT NULL CHECK (length(source_id) = 16),
    detected_at INTEGER NOT NULL,
    -- The latest detected_at up to here. It only grows, even when the clock was set back: searched by halving.
    latest_at INTEGER NOT NULL CHECK (latest_at >= detected_at),
    -- Position of the event before of the same customer and of the same purchase; NULL: the first. Their lists walk
    -- back along these, because an index by customer or purchase would cost a random page for each event.
    before_of_customer INTEGER CHECK (before_of_customer < position),
    before_of_purchase INTEGER CHECK (before_of_purchase < position),
    -- The event's JSON without what it borrows, packed.
    body BLOB NOT NULL CHECK (length(body) > 0),
    -- Number of the notification that told it, from whose body long texts are borrowed; NULL: none. It never falls from
    -- one event to the next. Whoever removes such a body has to write the event anew first (pruning.rs).
    borrows_from INTEGER,
    -- For each borrowed text its place in the event's JSON, its place in the notification's body and its length, 4 bytes
    -- each.
    borrowed BLOB CHECK (length(borrowed) % 12 = 0 AND (borrowed IS NULL) = (borrows_from IS NULL))
) STRICT;
-- Ids begin with their time, so new ones are written to the last pages.
CREATE UNIQUE INDEX events_by_id ON events (id);
-- What lists filter by, in log order (so again only last pages), without reading the bodies.
CREATE INDEX events_listed ON events (position, type, environment, source_id, detected_at);

-- Purchases, one row each, written whole.
CREATE TABLE purchases (
    -- The first 8 bytes of the id as a number, or up to 7 more where others have it: one page holds row and key, where
    -- an index on the id would be a second one.
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL CHECK (length(id) = 16),
    customer_id BLOB NOT NULL CHECK (length(customer_id) = 16),
    -- The journal entry that made it: purchases of a customer are listed by it.
    first_entry INTEGER NOT NULL CHECK (first_entry >= 0),
    -- The deadline that counts; others in `deadlines` are stale. NULL: none.
    next_deadline_at INTEGER,
    -- Position of its last event. NULL: none.
    last_event INTEGER,
    -- Its id in Discord's shape, minted from its start when that is first known, and kept. NULL: not known yet.
    snowflake INTEGER CHECK (snowflake >= 0),
    -- The purchase as JSON, packed.
    body BLOB NOT NULL CHECK (length(body) > 0)
) STRICT;
-- Written once for each purchase, and never again. Snowflakes begin with their time, so those of new purchases are
-- written to the last pages; only what is told after the fact costs another page.
CREATE UNIQUE INDEX purchases_by_snowflake ON purchases (snowflake) WHERE snowflake IS NOT NULL;
-- Written when a purchase is made or changes hands.
CREATE INDEX purchases_by_customer ON purchases (customer_id, first_entry);

-- Customers, one row each, written whole.
CREATE TABLE customers (
    -- As in purchases.
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL CHECK (length(id) = 16),
    -- NULL: was not merged.
    merged_into BLOB CHECK (length(merged_into) = 16 AND merged_into <> id),
    -- Position of its last event. NULL: none.
    last_event INTEGER,
    -- Its id in Discord's shape, minted from when it was first seen.
    snowflake INTEGER CHECK (snowflake >= 0),
    -- The customer as JSON, packed.
    body BLOB NOT NULL CHECK (length(body) > 0)
) STRICT;
-- Written once for each customer, to the last pages.
CREATE UNIQUE INDEX customers_by_snowflake ON customers (snowflake) WHERE snowflake IS NOT NULL;
-- Written by merges.
CREATE INDEX customers_merged ON customers (merged_into, id) WHERE merged_into IS NOT NULL;

-- Customers in the order in which they were made.
CREATE TABLE customers_by_age (
    number INTEGER PRIMARY KEY,
    customer_key INTEGER NOT NULL
) STRICT;

-- Other ids of customers. Written when an alias is told for the first time, or moves.
CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    customer_id BLOB NOT NULL CHECK (length(customer_id) = 16)
) STRICT, WITHOUT ROWID;

-- When to look at a purchase again. Rows go stale when the purchase's next_deadline_at moves; they are swept when their
-- time comes. Renewals set deadlines about one period ahead, so new ones sit together.
CREATE TABLE deadlines (
    due_at INTEGER NOT NULL,
    purchase_key INTEGER NOT NULL,
    PRIMARY KEY (due_at, purchase_key)
) STRICT, WITHOUT ROWID;

-- Questions that wait for a store, one per purchase (which may not be known yet).
CREATE TABLE questions (
    purchase_id BLOB PRIMARY KEY CHECK (length(purchase_id) = 16),
    source_id BLOB NOT NULL CHECK (length(source_id) = 16),
    store_purchase_id TEXT NOT NULL,
    why TEXT NOT NULL,
    -- When it was first due.
    asked_since INTEGER NOT NULL,
    -- Not before.
    ask_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX questions_by_time ON questions (ask_at);

-- Where notifications come from.
CREATE TABLE sources (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- JSON; secrets in it are encrypted by the hub.
    settings BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Where events go.
CREATE TABLE destinations (
    -- Never used again, so that attempts of a deleted destination, which are swept later, belong to nobody.
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- JSON; secrets in it are encrypted by the hub.
    settings BLOB NOT NULL,
    lane_order TEXT NOT NULL CHECK (lane_order IN ('purchase', 'customer', 'none')),
    -- Filters with the position from which each holds, oldest first, as JSON.
    filters TEXT NOT NULL,
    start TEXT NOT NULL CHECK (start IN ('now', 'beginning', 'at')),
    start_at INTEGER CHECK ((start_at IS NOT NULL) = (start = 'at')),
    state TEXT NOT NULL CHECK (state IN ('active', 'paused', 'switched_off')),
    state_reason TEXT,
    state_since INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- How far a destination has come.
CREATE TABLE progress (
    destination INTEGER NOT NULL REFERENCES destinations (number) ON DELETE CASCADE,
    partition INTEGER NOT NULL CHECK (partition = 0),
    -- Everything up to here is settled or parked.
    cursor INTEGER NOT NULL CHECK (cursor >= 0),
    -- Settled ranges above it: JSON list of [first, last].
    settled TEXT NOT NULL,
    PRIMARY KEY (destination, partition)
) STRICT, WITHOUT ROWID;

-- Events that wait for their next try, or behind one in their lane. Only trouble gets a row.
CREATE TABLE parked (
    destination INTEGER NOT NULL REFERENCES destinations (number) ON DELETE CASCADE,
    partition INTEGER NOT NULL CHECK (partition = 0),
    position INTEGER NOT NULL CHECK (position > 0),
    event_id BLOB NOT NULL CHECK (length(event_id) = 16),
    lane BLOB NOT NULL,
    -- 0: it waits behind another.
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    parked_at INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    last_error TEXT,
    -- A person asked for it.
    replay INTEGER NOT NULL CHECK (replay IN (0, 1)),
    PRIMARY KEY (destination, partition, position)
) STRICT, WITHOUT ROWID;

-- Tries at delivering, appended in bulk, kept for a set time.
CREATE TABLE attempts (
    number INTEGER PRIMARY KEY,
    -- destinations.number; no foreign key, because the attempts of a deleted destination are swept in slices.
    destination INTEGER NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0),
    event_id BLOB NOT NULL CHECK (length(event_id) = 16),
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL CHECK (duration_ms >= 0),
    -- HTTP status; NULL: no answer.
    status INTEGER CHECK (status BETWEEN 0 AND 65535),
    state TEXT NOT NULL CHECK (state IN ('delivered', 'retrying', 'failed', 'skipped')),
    detail TEXT
) STRICT;
-- Events are delivered about in order and their ids begin with their time, so new entries are near the end.
CREATE INDEX attempts_by_event ON attempts (event_id);
-- One growing end for each destination.
CREATE INDEX attempts_by_destination ON attempts (destination, number);
-- Trouble is rare.
CREATE INDEX attempts_in_trouble ON attempts (state, number) WHERE state <> 'delivered';

-- Access keys, never in clear.
CREATE TABLE api_keys (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name TEXT NOT NULL,
    -- SHA-256 of the key.
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- JSON list of words.
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;

-- Answers given for an Idempotency-Key.
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    -- SHA-256 of method, path and body.
    request BLOB NOT NULL CHECK (length(request) = 32),
    status INTEGER NOT NULL CHECK (status BETWEEN 100 AND 599),
    body BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_time ON idempotency (created_at);
