-- Ids under which a purchase is known besides its own: a store that replaces a purchase's token or receipt gives it
-- another key, and a key's id is its hash. Written by such replacements only, read for purchases that are not known.
CREATE TABLE purchase_other_ids (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    purchase_id BLOB NOT NULL CHECK (length(purchase_id) = 16 AND purchase_id <> id)
) STRICT, WITHOUT ROWID;
