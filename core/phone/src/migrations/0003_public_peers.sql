-- Whether every start of the node connects to entry peers of the public network; one row when it does.
CREATE TABLE phone_public_peers (
    id INTEGER PRIMARY KEY CHECK (id = 1)
) STRICT;
