-- When an issued version was revoked. Until a new one is issued it stays the current one.
ALTER TABLE versions ADD COLUMN revoked_at INTEGER;
