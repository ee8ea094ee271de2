-- What administrators and the operator did, and what the server did against somebody.
CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time BIGINT NOT NULL,
    -- Who did it: a bare JID, `operator` or `server`.
    actor TEXT NOT NULL,
    -- From where: an IP address, `command line`.
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL
);

CREATE INDEX audit_time ON audit (time);

-- Items of the block lists of others that are followed, as they were last known.
CREATE TABLE listed_item (
    service TEXT COLLATE "C" NOT NULL,
    node TEXT COLLATE "C" NOT NULL,
    item TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (service, node, item)
);
