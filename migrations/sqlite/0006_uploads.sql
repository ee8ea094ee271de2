-- A file that an account may upload, or has uploaded (XEP-0363).
CREATE TABLE upload (
    -- Its secret, which is in its address.
    token TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT,
    size INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    created INTEGER NOT NULL,
    -- Until when the upload may begin.
    slot_expires INTEGER NOT NULL,
    -- Until when the file is kept; NULL: as long as the account.
    expires INTEGER,
    -- When it was uploaded.
    stored INTEGER,
    -- Where its content is; NULL before it is uploaded and after it has expired.
    blob TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_account_created ON upload (account, created);
CREATE INDEX upload_expires ON upload (expires) WHERE blob IS NOT NULL;
CREATE INDEX upload_created ON upload (created) WHERE blob IS NULL;
CREATE INDEX upload_of_blob ON upload (blob) WHERE blob IS NOT NULL;

-- The content of uploaded files, once for all files that are alike.
CREATE TABLE upload_blob (
    -- Its name on the disk.
    id TEXT NOT NULL PRIMARY KEY,
    -- SHA-256.
    hash BLOB NOT NULL,
    size INTEGER NOT NULL,
    -- Uploads that have it. 0: about to be removed from the disk, not to be used again.
    refs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_blob_hash ON upload_blob (hash) WHERE refs > 0;
CREATE INDEX upload_blob_dead ON upload_blob (id) WHERE refs = 0;

-- One row for each account that ever asked: whoever counts its uploads holds the row.
CREATE TABLE upload_account (
    account TEXT NOT NULL PRIMARY KEY,
    slots INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
