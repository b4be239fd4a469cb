-- The node key that the profile was made with; its address is the one that others know.
CREATE TABLE phone_node_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    public_key BLOB NOT NULL
) STRICT;
