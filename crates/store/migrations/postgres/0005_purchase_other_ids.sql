-- Ids under which a purchase is known besides its own: a store that replaces a purchase's token or receipt gives it
-- another key, and a key's id is its hash.
CREATE TABLE purchase_other_ids (
    id BYTEA PRIMARY KEY CHECK (octet_length(id) = 16),
    purchase_id BYTEA NOT NULL CHECK (octet_length(purchase_id) = 16 AND purchase_id <> id)
);
