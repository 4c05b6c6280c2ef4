-- The beginning of the journal is pruned too, once nothing that is kept came from it.
ALTER TABLE heads ADD COLUMN pruned_entry INTEGER NOT NULL DEFAULT 0 CHECK (pruned_entry >= 0);
-- The chain digest of that entry: what the first entry that is left hangs on. 32 zero bytes: nothing was pruned.
ALTER TABLE heads ADD COLUMN pruned_chain BLOB NOT NULL
    DEFAULT X'0000000000000000000000000000000000000000000000000000000000000000' CHECK (length(pruned_chain) = 32);
