-- Where an offline message is in its recipient's archive (XEP-0359).
ALTER TABLE offline ADD COLUMN archive_id BIGINT;
