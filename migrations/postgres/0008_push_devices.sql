-- Devices that the app server inside wakes, by the service of whoever made them.
CREATE TABLE push_device (
    -- What a user's server publishes to; the secret lets it, and is kept as its SHA-256.
    node TEXT NOT NULL PRIMARY KEY,
    secret BYTEA NOT NULL,
    account TEXT NOT NULL,
    -- The client's own name for the device.
    device TEXT NOT NULL,
    -- 0: FCM, 1: APNs, 2: Web Push.
    gateway BIGINT NOT NULL,
    -- The token, or the URL of Web Push.
    address TEXT NOT NULL,
    -- APNs: the token for calls.
    call_address TEXT,
    -- Web Push (RFC 8291): the public key of the browser and the secret that it shares with us.
    public_key BYTEA,
    auth BYTEA,
    registered BIGINT NOT NULL,
    UNIQUE (account, device)
);

-- Addresses by which servers of apps reach an app on a device of ours (UnifiedPush).
CREATE TABLE push_endpoint (
    token TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    resource TEXT NOT NULL,
    application TEXT NOT NULL,
    instance TEXT NOT NULL,
    expires BIGINT NOT NULL,
    UNIQUE (account, resource, application, instance)
);
CREATE INDEX push_endpoint_expires ON push_endpoint (expires);
