-- One peer per row, with the counters that make sending and receipts cheap.
CREATE TABLE messaging_chat (
    chat            INTEGER PRIMARY KEY AUTOINCREMENT,
    peer            BLOB    NOT NULL UNIQUE,            -- overlay address, 16 bytes
    next_seq        INTEGER NOT NULL DEFAULT 1,         -- of our next line
    read_by_peer    INTEGER NOT NULL DEFAULT 0,         -- our lines up to here are read
    read_by_us      INTEGER NOT NULL DEFAULT 0          -- their lines up to here are read
) STRICT;
-- One line per row; (chat, author, seq) is its identity.
CREATE TABLE messaging_line (
    line        INTEGER PRIMARY KEY AUTOINCREMENT,
    chat        INTEGER NOT NULL REFERENCES messaging_chat (chat),
    author      BLOB    NOT NULL,                       -- device key, 32 bytes
    seq         INTEGER NOT NULL CHECK (seq > 0),
    body        TEXT    NOT NULL,
    sent_at     INTEGER NOT NULL,                       -- unix ms, the author's clock
    state       INTEGER NOT NULL,                       -- LineState as stored
    envelope    BLOB,                                   -- outgoing only, 16 bytes
    UNIQUE (chat, author, seq)
) STRICT;
CREATE UNIQUE INDEX messaging_line_envelope ON messaging_line (envelope) WHERE envelope IS NOT NULL;
