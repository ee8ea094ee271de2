-- What subscribers to nodes have chosen (XEP-0060, section 6.3).
ALTER TABLE pubsub_subscription ADD COLUMN deliver BOOLEAN NOT NULL DEFAULT TRUE;
-- When the subscription ends.
ALTER TABLE pubsub_subscription ADD COLUMN expires BIGINT;
