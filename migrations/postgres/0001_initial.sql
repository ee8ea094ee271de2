-- Times are microseconds since 1970. Accounts, contacts and owners are bare JIDs unless a comment says otherwise.

CREATE TABLE account (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain TEXT COLLATE "C" NOT NULL,
    local TEXT COLLATE "C" NOT NULL,
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_login BIGINT,
    display_name TEXT,
    email TEXT,
    credential_epoch BIGINT NOT NULL,
    password_hash TEXT,
    UNIQUE (domain, local)
);

CREATE TABLE account_tombstone (
    domain TEXT COLLATE "C" NOT NULL,
    local TEXT COLLATE "C" NOT NULL,
    deleted BIGINT NOT NULL,
    PRIMARY KEY (domain, local)
);

CREATE TABLE scram_key (
    account_id BIGINT NOT NULL,
    mechanism TEXT NOT NULL,
    salt BYTEA NOT NULL,
    iterations BIGINT NOT NULL,
    stored_key BYTEA NOT NULL,
    server_key BYTEA NOT NULL,
    PRIMARY KEY (account_id, mechanism)
);

CREATE TABLE client (
    account TEXT COLLATE "C" NOT NULL,
    id TEXT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    permission TEXT NOT NULL,
    software TEXT,
    device TEXT,
    tag TEXT,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);

CREATE TABLE fast_token (
    account TEXT COLLATE "C" NOT NULL,
    client TEXT COLLATE "C" NOT NULL,
    mechanism TEXT NOT NULL,
    secret BYTEA NOT NULL,
    issued BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    previous_secret BYTEA,
    previous_issued BIGINT,
    previous_expires BIGINT,
    counter BIGINT NOT NULL,
    PRIMARY KEY (account, client)
);

CREATE TABLE refresh_token (
    hash BYTEA NOT NULL PRIMARY KEY,
    family TEXT NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    client TEXT COLLATE "C",
    issued BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    -- When it was exchanged for its successor.
    used BIGINT
);
CREATE INDEX refresh_token_family ON refresh_token (family);
CREATE INDEX refresh_token_account ON refresh_token (account);

CREATE TABLE roster (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    -- Removals up to this version may be forgotten.
    forgotten BIGINT NOT NULL
);

CREATE TABLE roster_item (
    account TEXT COLLATE "C" NOT NULL,
    contact TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    -- 1 for a contact that was removed; the row remembers when.
    removed BIGINT NOT NULL,
    name TEXT COLLATE "C",
    -- JSON array.
    contact_groups TEXT NOT NULL,
    subscription TEXT NOT NULL,
    ask BIGINT NOT NULL,
    approved BIGINT NOT NULL,
    PRIMARY KEY (account, contact)
);

CREATE TABLE subscription_request (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    contact TEXT COLLATE "C" NOT NULL,
    stanza BYTEA NOT NULL,
    UNIQUE (account, contact)
);

CREATE TABLE block (
    account TEXT COLLATE "C" NOT NULL,
    jid TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, jid)
);

CREATE TABLE document (
    account TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    xml BYTEA NOT NULL,
    PRIMARY KEY (account, kind, namespace, name)
);

CREATE TABLE last_activity (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    status TEXT
);

CREATE TABLE invite (
    token TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    inviter TEXT,
    domain TEXT COLLATE "C" NOT NULL,
    username TEXT COLLATE "C",
    role TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    uses_left BIGINT NOT NULL
);
CREATE INDEX invite_inviter ON invite (inviter);
CREATE INDEX invite_username ON invite (domain, username);

CREATE TABLE invite_use (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token TEXT COLLATE "C" NOT NULL,
    used_by TEXT COLLATE "C" NOT NULL,
    UNIQUE (token, used_by)
);

CREATE TABLE hibernated_session (
    resumption_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    state BYTEA NOT NULL,
    expires BIGINT NOT NULL
);

CREATE TABLE report (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reporter TEXT NOT NULL,
    -- Any JID.
    reported TEXT NOT NULL,
    reason TEXT NOT NULL,
    text TEXT,
    evidence BYTEA NOT NULL,
    time BIGINT NOT NULL
);

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE caps (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash TEXT COLLATE "C" NOT NULL UNIQUE,
    disco_info BYTEA NOT NULL
);

-- Every message once.
CREATE TABLE message (
    -- Time of writing and node, see ArchiveId.
    id BIGINT PRIMARY KEY,
    time BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    -- How many rows of archive and offline point here.
    refs BIGINT NOT NULL,
    retracted BIGINT NOT NULL,
    -- Ids of archive_owner with spaces between, for the full-text index.
    owners TEXT NOT NULL,
    -- Full JIDs.
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    message_id TEXT,
    origin_id TEXT,
    text TEXT,
    stanza BYTEA NOT NULL
);

CREATE TABLE archive_owner (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- NULL for an archive that was purged and whose rows are still to be removed.
    jid TEXT COLLATE "C" UNIQUE
);

CREATE TABLE archive (
    owner BIGINT NOT NULL,
    id BIGINT NOT NULL,
    message BIGINT NOT NULL,
    -- Hash of the other side's bare JID.
    peer BIGINT NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX archive_peer ON archive (owner, peer, id);

CREATE TABLE archive_prefs (
    owner TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    policy TEXT NOT NULL,
    -- JSON arrays.
    always TEXT NOT NULL,
    never TEXT NOT NULL
);

CREATE TABLE offline (
    owner BIGINT NOT NULL,
    message BIGINT NOT NULL,
    PRIMARY KEY (owner, message)
);

-- A single row.
CREATE TABLE archive_progress (
    -- Messages up to this id are in the full-text index.
    indexed BIGINT NOT NULL,
    -- Grows when an owner is purged, so that writers forget the ids they remember.
    owner_epoch BIGINT NOT NULL,
    -- How often the store was opened: the node number in ids.
    opened BIGINT NOT NULL
);
INSERT INTO archive_progress (indexed, owner_epoch, opened) VALUES (0, 0, 0);

-- Owners are part of the index, so that a search visits only what is in its archive.
CREATE TABLE message_fts (
    message BIGINT NOT NULL PRIMARY KEY,
    owners BIGINT[] NOT NULL,
    body TSVECTOR NOT NULL
);
CREATE INDEX message_fts_body ON message_fts USING gin (owners, body);
