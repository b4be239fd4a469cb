-- Peers that every start of the node connects to, until they are removed.
CREATE TABLE phone_peer (
    endpoint TEXT NOT NULL PRIMARY KEY, -- as written by the node, e.g. tcp://192.0.2.1:9651
    added_at INTEGER NOT NULL           -- unix milliseconds
) STRICT;
