CREATE TABLE room (
    jid TEXT NOT NULL PRIMARY KEY,
    domain TEXT NOT NULL,
    -- Tells a room from an earlier one of the same address.
    created INTEGER NOT NULL,
    -- Grows with every change, so that an older one never overwrites a newer one.
    version INTEGER NOT NULL,
    listed INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- JSON.
    settings TEXT NOT NULL,
    subject BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX room_listed ON room (domain, jid) WHERE listed = 1;

CREATE TABLE room_affiliation (
    room TEXT NOT NULL,
    account TEXT NOT NULL,
    -- "none" for one that was taken back: the row remembers when.
    affiliation TEXT NOT NULL,
    nick TEXT,
    version INTEGER NOT NULL,
    -- When the account was last in the room; 0: never.
    seen INTEGER NOT NULL,
    PRIMARY KEY (room, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX room_affiliation_account ON room_affiliation (account);
