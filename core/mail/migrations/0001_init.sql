CREATE TABLE mail_message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mailbox TEXT NOT NULL CHECK (mailbox IN ('inbox', 'sent')),
    hash BLOB NOT NULL,
    size INTEGER NOT NULL,
    author TEXT NOT NULL DEFAULT '',
    recipients TEXT NOT NULL DEFAULT '[]',
    subject TEXT NOT NULL DEFAULT '',
    date INTEGER NOT NULL,
    arrived_at INTEGER NOT NULL,
    attachments INTEGER NOT NULL DEFAULT 0,
    message_id TEXT NOT NULL DEFAULT '',
    seen INTEGER NOT NULL DEFAULT 0,
    answered INTEGER NOT NULL DEFAULT 0,
    flagged INTEGER NOT NULL DEFAULT 0,
    separator BLOB NOT NULL DEFAULT x'',
    trailer BLOB,
    raw BLOB NOT NULL
) STRICT;

CREATE INDEX mail_message_mailbox_id ON mail_message (mailbox, id);
CREATE INDEX mail_message_hash ON mail_message (hash, mailbox);

CREATE TABLE mail_recipient (
    mail INTEGER NOT NULL REFERENCES mail_message (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    envelope TEXT UNIQUE,
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'delivered', 'refused', 'expired', 'cancelled')),
    PRIMARY KEY (mail, position)
) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE mail_search USING fts5 (
    subject, people, body,
    content = '', contentless_delete = 1,
    tokenize = 'unicode61 remove_diacritics 2'
);
