-- Everyone we sent to or took something from. One device per address for now. Rows are never
-- deleted: a forgotten window would let a replay in. Strangers' rows are bounded in number.
CREATE TABLE delivery_peer (
    address BLOB NOT NULL PRIMARY KEY CHECK (length(address) = 16), -- full overlay address
    node_key BLOB,                        -- 32 bytes, once known; hashes to the address
    device_key BLOB,                      -- 32 bytes, pinned: the first one that signed
    contacted INTEGER NOT NULL DEFAULT 0, -- 1 once something was sent to it: no stranger any more
    next_seq INTEGER NOT NULL DEFAULT 1,  -- of our next envelope to it
    low INTEGER NOT NULL DEFAULT 1,       -- every sequence of its envelopes below is settled
    seen BLOB NOT NULL DEFAULT x'',       -- bit n: sequence low + n was taken; at most 513 bytes
    kept_envelopes INTEGER NOT NULL DEFAULT 0, -- taken from it so far
    kept_bytes INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
-- For the sum over all strangers, which every envelope of a stranger asks for.
CREATE INDEX delivery_peer_stranger ON delivery_peer (kept_bytes) WHERE contacted = 0;

-- Sequences inside the window that were refused, so that repeats get the same answer.
CREATE TABLE delivery_refused (
    address BLOB NOT NULL,
    seq INTEGER NOT NULL,
    code INTEGER NOT NULL,                -- below 1000 delivery's, else the service's
    PRIMARY KEY (address, seq)
) STRICT, WITHOUT ROWID;

-- What is to be delivered. A row goes when the other device has acknowledged it or its sender took
-- it back; what failed stays without its body, the newest thousand, for the counts.
CREATE TABLE delivery_outbox (
    address BLOB NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    noun TEXT NOT NULL,
    digest BLOB NOT NULL,            -- BLAKE3 of id, noun and body: what an acknowledgement names
    queued_at INTEGER NOT NULL,      -- unix milliseconds
    expires_at INTEGER,              -- unix milliseconds
    state INTEGER NOT NULL DEFAULT 0, -- 0 queued, 1 failed (then without body)
    body BLOB NOT NULL,
    PRIMARY KEY (address, seq)
) STRICT;
CREATE INDEX delivery_outbox_expires_at ON delivery_outbox (expires_at) WHERE state = 0;
CREATE INDEX delivery_outbox_failed ON delivery_outbox (state) WHERE state = 1;
