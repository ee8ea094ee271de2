-- Nodes of pubsub services and of accounts (XEP-0060, XEP-0163).
CREATE TABLE pubsub_node (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Bare JID of an account or domain of a service.
    service TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    creator TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL,
    -- Grows with every item; the number of the last one.
    published BIGINT NOT NULL,
    -- Of the payloads of its items.
    bytes BIGINT NOT NULL,
    -- Submitted form.
    config BYTEA NOT NULL,
    UNIQUE (service, name)
);

CREATE TABLE pubsub_affiliation (
    node BIGINT NOT NULL,
    jid TEXT COLLATE "C" NOT NULL,
    affiliation TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (node, jid)
);
CREATE INDEX pubsub_affiliation_jid ON pubsub_affiliation (jid);

CREATE TABLE pubsub_subscription (
    node BIGINT NOT NULL,
    -- As it was subscribed, and without its resource.
    jid TEXT COLLATE "C" NOT NULL,
    bare TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (node, jid)
);
CREATE INDEX pubsub_subscription_bare ON pubsub_subscription (bare);

CREATE TABLE pubsub_item (
    node BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    -- The order of publication.
    number BIGINT NOT NULL,
    publisher TEXT COLLATE "C" NOT NULL,
    time BIGINT NOT NULL,
    payload BYTEA,
    PRIMARY KEY (node, id)
);
CREATE UNIQUE INDEX pubsub_item_number ON pubsub_item (node, number);
