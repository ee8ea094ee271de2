-- Where the devices of an account are woken (XEP-0357).
CREATE TABLE push_service (
    account TEXT NOT NULL,
    -- Of the app server; with a resource, if it has one.
    jid TEXT NOT NULL,
    node TEXT NOT NULL,
    -- The device that it is for: the resource of its session, and its id if it has one (XEP-0388).
    resource TEXT NOT NULL,
    client TEXT,
    -- What is published along: a data form, as XML.
    options BYTEA,
    enabled BIGINT NOT NULL,
    -- Errors in a row.
    failures BIGINT NOT NULL,
    -- Nothing is published before.
    paused_until BIGINT,
    PRIMARY KEY (account, jid, node)
);
