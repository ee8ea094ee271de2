-- What administrators and the operator did, and what the server did against somebody.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    -- Who did it: a bare JID, `operator` or `server`.
    actor TEXT NOT NULL,
    -- From where: an IP address, `command line`.
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;

CREATE INDEX audit_time ON audit (time);

-- Items of the block lists of others that are followed, as they were last known.
CREATE TABLE listed_item (
    service TEXT NOT NULL,
    node TEXT NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (service, node, item)
) STRICT, WITHOUT ROWID;
