-- One profile, one device: both tables hold at most one row.
CREATE TABLE identity_profile (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL -- unix milliseconds
) STRICT;
CREATE TABLE identity_device (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seed BLOB NOT NULL CHECK (length(seed) = 32) -- Ed25519 seed; secret, protected by the store's key
) STRICT;
