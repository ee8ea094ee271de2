CREATE TABLE room (
    jid TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    domain TEXT NOT NULL,
    -- Tells a room from an earlier one of the same address.
    created BIGINT NOT NULL,
    -- Grows with every change, so that an older one never overwrites a newer one.
    version BIGINT NOT NULL,
    listed BIGINT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- JSON.
    settings TEXT NOT NULL,
    subject BYTEA
);
CREATE INDEX room_listed ON room (domain, jid) WHERE listed = 1;

CREATE TABLE room_affiliation (
    room TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    -- "none" for one that was taken back: the row remembers when.
    affiliation TEXT NOT NULL,
    nick TEXT,
    version BIGINT NOT NULL,
    -- When the account was last in the room; 0: never.
    seen BIGINT NOT NULL,
    PRIMARY KEY (room, account)
);
CREATE INDEX room_affiliation_account ON room_affiliation (account);
