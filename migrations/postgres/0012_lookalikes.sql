-- The same for names that look the same; NULL until it has been worked out.
ALTER TABLE account ADD COLUMN shape TEXT;

CREATE INDEX account_shape ON account (domain, shape);
