-- What an account has chosen to show and to whom; NULL is what its host has as a default.
CREATE TABLE privacy (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    presence TEXT,
    last_seen TEXT,
    strangers TEXT,
    -- The name under which others find it; NULL when it is not to be found (XEP-0055).
    listed_as TEXT
);

CREATE INDEX privacy_listed ON privacy (account) WHERE listed_as IS NOT NULL;

-- Addresses outside of the roster that wrote to an account or were written to.
CREATE TABLE stranger (
    account TEXT COLLATE "C" NOT NULL,
    peer TEXT COLLATE "C" NOT NULL,
    verdict TEXT NOT NULL,
    since BIGINT NOT NULL,
    -- Ids in the account's archive of the messages that are held back: a JSON array.
    held TEXT NOT NULL,
    PRIMARY KEY (account, peer)
);

-- vCards of the newer format are items of a node (XEP-0292, section 4); an account that has published one
-- there since keeps that.
INSERT INTO pubsub_node (service, name, creator, created, published, bytes, config)
    SELECT account, 'urn:xmpp:vcard4', account, 0, 1, length(xml), ''::bytea
    FROM document WHERE kind = 'vcard4'
    ON CONFLICT DO NOTHING;
INSERT INTO pubsub_item (node, id, number, publisher, time, payload)
    SELECT n.id, 'current', 1, d.account, 0, d.xml
    FROM document d JOIN pubsub_node n ON n.service = d.account AND n.name = 'urn:xmpp:vcard4'
    WHERE d.kind = 'vcard4' AND n.created = 0 AND n.published = 1
    ON CONFLICT DO NOTHING;
DELETE FROM document WHERE kind = 'vcard4';
