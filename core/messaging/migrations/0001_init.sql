-- One peer per row, with the counters that keep sending and receipts cheap.
CREATE TABLE messaging_chat (
    chat            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    peer            BLOB    NOT NULL UNIQUE CHECK (length(peer) = 16), -- overlay address
    next_seq        INTEGER NOT NULL DEFAULT 1,   -- of our next line
    read_by_peer    INTEGER NOT NULL DEFAULT 0,   -- our lines up to here are read
    read_by_us      INTEGER NOT NULL DEFAULT 0,   -- their lines up to here are read, none missing
    known           INTEGER NOT NULL DEFAULT 0,   -- 1 once we have written to them: no stranger
    held_bytes      INTEGER NOT NULL DEFAULT 0    -- what the peer has made us keep
) STRICT;
CREATE INDEX messaging_chat_strangers ON messaging_chat (held_bytes) WHERE known = 0;

-- One line per row; (chat, author, seq) is its identity and will be its place in a log.
CREATE TABLE messaging_line (
    line            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    chat            INTEGER NOT NULL REFERENCES messaging_chat (chat),
    author          BLOB    NOT NULL CHECK (length(author) = 32),      -- device key
    seq             INTEGER NOT NULL CHECK (seq > 0),
    body            TEXT    NOT NULL,
    sent_at         INTEGER NOT NULL,             -- unix ms, the author's clock, for display
    stamp           INTEGER NOT NULL,             -- the author's, see README
    shown_at        INTEGER NOT NULL,             -- largest stamp up to this seq: the order of lists
    outgoing        INTEGER NOT NULL,             -- 1: ours
    state           INTEGER NOT NULL,             -- LineState as stored
    envelope        BLOB,                         -- outgoing and not settled: 16 bytes
    UNIQUE (chat, author, seq)
) STRICT;
CREATE INDEX messaging_line_chat_shown_at ON messaging_line (chat, shown_at, author, seq);
CREATE INDEX messaging_line_shown_at ON messaging_line (shown_at, author, seq);
CREATE INDEX messaging_line_unread ON messaging_line (chat) WHERE outgoing = 0 AND state = 5;
CREATE UNIQUE INDEX messaging_line_envelope ON messaging_line (envelope) WHERE envelope IS NOT NULL;
