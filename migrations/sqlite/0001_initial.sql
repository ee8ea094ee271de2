-- Times are microseconds since 1970. Accounts, contacts and owners are bare JIDs unless a comment says otherwise.

CREATE TABLE account (
    -- AUTOINCREMENT: a number must never come back after its account was deleted.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    domain TEXT NOT NULL,
    local TEXT NOT NULL,
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_login INTEGER,
    display_name TEXT,
    email TEXT,
    credential_epoch INTEGER NOT NULL,
    password_hash TEXT,
    UNIQUE (domain, local)
) STRICT;

CREATE TABLE account_tombstone (
    domain TEXT NOT NULL,
    local TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    PRIMARY KEY (domain, local)
) STRICT, WITHOUT ROWID;

CREATE TABLE scram_key (
    account_id INTEGER NOT NULL,
    mechanism TEXT NOT NULL,
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    stored_key BLOB NOT NULL,
    server_key BLOB NOT NULL,
    PRIMARY KEY (account_id, mechanism)
) STRICT, WITHOUT ROWID;

CREATE TABLE client (
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    permission TEXT NOT NULL,
    software TEXT,
    device TEXT,
    tag TEXT,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE fast_token (
    account TEXT NOT NULL,
    client TEXT NOT NULL,
    mechanism TEXT NOT NULL,
    secret BLOB NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    previous_secret BLOB,
    previous_issued INTEGER,
    previous_expires INTEGER,
    counter INTEGER NOT NULL,
    PRIMARY KEY (account, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE refresh_token (
    hash BLOB NOT NULL PRIMARY KEY,
    family TEXT NOT NULL,
    account TEXT NOT NULL,
    client TEXT,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    -- When it was exchanged for its successor.
    used INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_token_family ON refresh_token (family);
CREATE INDEX refresh_token_account ON refresh_token (account);

CREATE TABLE roster (
    account TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    -- Removals up to this version may be forgotten.
    forgotten INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE roster_item (
    account TEXT NOT NULL,
    contact TEXT NOT NULL,
    version INTEGER NOT NULL,
    -- 1 for a contact that was removed; the row remembers when.
    removed INTEGER NOT NULL,
    name TEXT,
    -- JSON array.
    contact_groups TEXT NOT NULL,
    subscription TEXT NOT NULL,
    ask INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    PRIMARY KEY (account, contact)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription_request (
    seq INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    contact TEXT NOT NULL,
    stanza BLOB NOT NULL,
    UNIQUE (account, contact)
) STRICT;

CREATE TABLE block (
    account TEXT NOT NULL,
    jid TEXT NOT NULL,
    PRIMARY KEY (account, jid)
) STRICT, WITHOUT ROWID;

CREATE TABLE document (
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    xml BLOB NOT NULL,
    PRIMARY KEY (account, kind, namespace, name)
) STRICT;

CREATE TABLE last_activity (
    account TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    status TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE invite (
    token TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    inviter TEXT,
    domain TEXT NOT NULL,
    username TEXT,
    role TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    uses_left INTEGER NOT NULL
) STRICT;
CREATE INDEX invite_inviter ON invite (inviter);
CREATE INDEX invite_username ON invite (domain, username);

CREATE TABLE invite_use (
    seq INTEGER PRIMARY KEY,
    token TEXT NOT NULL,
    used_by TEXT NOT NULL,
    UNIQUE (token, used_by)
) STRICT;

CREATE TABLE hibernated_session (
    resumption_id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    state BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE report (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reporter TEXT NOT NULL,
    -- Any JID.
    reported TEXT NOT NULL,
    reason TEXT NOT NULL,
    text TEXT,
    evidence BLOB NOT NULL,
    time INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE caps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    disco_info BLOB NOT NULL
) STRICT;

-- Every message once. The stanza comes last: what is before it is read without its overflow pages.
CREATE TABLE message (
    -- Time of writing and node, see ArchiveId.
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    -- How many rows of archive, archive_recent and offline point here.
    refs INTEGER NOT NULL,
    retracted INTEGER NOT NULL,
    -- Ids of archive_owner with spaces between, for the full-text index.
    owners TEXT NOT NULL,
    -- Full JIDs.
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    message_id TEXT,
    origin_id TEXT,
    text TEXT,
    stanza BLOB NOT NULL
) STRICT;

CREATE TABLE archive_owner (
    -- AUTOINCREMENT: rows of a purged archive must never turn up in a new one.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL for an archive that was purged and whose rows are still to be removed.
    jid TEXT UNIQUE
) STRICT;

CREATE TABLE archive (
    owner INTEGER NOT NULL,
    id INTEGER NOT NULL,
    message INTEGER NOT NULL,
    -- Hash of the other side's bare JID.
    peer INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX archive_peer ON archive (owner, peer, id);

-- What came last. A batch of messages touches a page of `archive` and one of its index for each owner; here
-- it touches few, because the table is small. Rows are moved on many at a time.
CREATE TABLE archive_recent (
    owner INTEGER NOT NULL,
    id INTEGER NOT NULL,
    message INTEGER NOT NULL,
    peer INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE archive_prefs (
    owner TEXT NOT NULL PRIMARY KEY,
    policy TEXT NOT NULL,
    -- JSON arrays.
    always TEXT NOT NULL,
    never TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE offline (
    owner INTEGER NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (owner, message)
) STRICT, WITHOUT ROWID;

-- A single row.
CREATE TABLE archive_progress (
    -- Messages up to this id are in the full-text index.
    indexed INTEGER NOT NULL,
    -- Grows when an owner is purged, so that writers forget the ids they remember.
    owner_epoch INTEGER NOT NULL,
    -- How often the store was opened: the node number in ids.
    opened INTEGER NOT NULL
) STRICT;
INSERT INTO archive_progress (indexed, owner_epoch, opened) VALUES (0, 0, 0);

-- Holds no text of its own. Owners are words too, so that a search visits only what is in its archive.
CREATE VIRTUAL TABLE message_fts USING fts5 (
    owners, body,
    content = '', contentless_delete = 1,
    tokenize = 'unicode61 remove_diacritics 0'
);
