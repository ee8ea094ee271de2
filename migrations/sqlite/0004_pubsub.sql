-- Nodes of pubsub services and of accounts (XEP-0060, XEP-0163).
CREATE TABLE pubsub_node (
    -- AUTOINCREMENT: rows of a node must never turn up in a new one.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Bare JID of an account or domain of a service.
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    creator TEXT NOT NULL,
    created INTEGER NOT NULL,
    -- Grows with every item; the number of the last one.
    published INTEGER NOT NULL,
    -- Of the payloads of its items.
    bytes INTEGER NOT NULL,
    -- Submitted form.
    config BLOB NOT NULL,
    UNIQUE (service, name)
) STRICT;

CREATE TABLE pubsub_affiliation (
    node INTEGER NOT NULL,
    jid TEXT NOT NULL,
    affiliation TEXT NOT NULL,
    PRIMARY KEY (node, jid)
) STRICT, WITHOUT ROWID;
CREATE INDEX pubsub_affiliation_jid ON pubsub_affiliation (jid);

CREATE TABLE pubsub_subscription (
    node INTEGER NOT NULL,
    -- As it was subscribed, and without its resource.
    jid TEXT NOT NULL,
    bare TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (node, jid)
) STRICT, WITHOUT ROWID;
CREATE INDEX pubsub_subscription_bare ON pubsub_subscription (bare);

CREATE TABLE pubsub_item (
    node INTEGER NOT NULL,
    id TEXT NOT NULL,
    -- The order of publication.
    number INTEGER NOT NULL,
    publisher TEXT NOT NULL,
    time INTEGER NOT NULL,
    payload BLOB,
    PRIMARY KEY (node, id)
) STRICT;
CREATE UNIQUE INDEX pubsub_item_number ON pubsub_item (node, number);
