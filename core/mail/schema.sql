-- The tables of core/mail, as the migrations leave them; a test compares both.

-- One row a mail. `raw` stands last so that lists do not read past it.
CREATE TABLE mail_message (
    -- Grows in the order of arrival; never used twice.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox TEXT NOT NULL CHECK (mailbox IN ('inbox', 'sent')),
    -- BLAKE3 of raw: imports recognise what is there.
    hash BLOB NOT NULL,
    -- Bytes of raw.
    size INTEGER NOT NULL,
    -- Read from raw, empty where unreadable: 'Name <address>'.
    author TEXT NOT NULL DEFAULT '',
    -- A JSON array of the same, To then Cc.
    recipients TEXT NOT NULL DEFAULT '[]',
    subject TEXT NOT NULL DEFAULT '',
    -- Unix milliseconds: the mail's own date, or arrived_at.
    date INTEGER NOT NULL,
    arrived_at INTEGER NOT NULL,
    attachments INTEGER NOT NULL DEFAULT 0,
    message_id TEXT NOT NULL DEFAULT '',
    seen INTEGER NOT NULL DEFAULT 0,
    answered INTEGER NOT NULL DEFAULT 0,
    flagged INTEGER NOT NULL DEFAULT 0,
    -- The 'From ' line of the mbox it came from, with its line end; empty if from none.
    separator BLOB NOT NULL DEFAULT x'',
    -- What followed it there: nothing, a blank line, or two line ends; NULL if from none.
    trailer BLOB,
    -- The mail as it came.
    raw BLOB NOT NULL
) STRICT;

CREATE INDEX mail_message_mailbox_id ON mail_message (mailbox, id);
CREATE INDEX mail_message_hash ON mail_message (hash, mailbox);

-- Each recipient of a mail sent from here.
CREATE TABLE mail_recipient (
    mail INTEGER NOT NULL REFERENCES mail_message (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    -- Plain IPv6.
    address TEXT NOT NULL,
    -- The envelope on its way, in hexadecimal; NULL for ourselves.
    envelope TEXT UNIQUE,
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'delivered', 'refused', 'expired', 'cancelled')),
    PRIMARY KEY (mail, position)
) STRICT, WITHOUT ROWID;

-- Full text by mail id; holds the index only, the text is in raw.
CREATE VIRTUAL TABLE mail_search USING fts5 (
    subject, people, body,
    content = '', contentless_delete = 1,
    tokenize = 'unicode61 remove_diacritics 2'
);
