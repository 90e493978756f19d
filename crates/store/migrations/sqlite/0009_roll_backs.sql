-- The version that was last verified to be served out of a bundle: where the content of bundles is replaced, it is what a
-- rollback puts back. NULL: none is known.
ALTER TABLE bundles ADD COLUMN served_version INTEGER REFERENCES versions (id);
UPDATE bundles SET served_version = version WHERE served_at IS NOT NULL;
