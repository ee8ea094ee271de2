-- What subscribers to nodes have chosen (XEP-0060, section 6.3).
ALTER TABLE pubsub_subscription ADD COLUMN deliver BIGINT NOT NULL DEFAULT 1;
-- When the subscription ends.
ALTER TABLE pubsub_subscription ADD COLUMN expires BIGINT;
