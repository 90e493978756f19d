-- The version that was last verified to be served out of a bundle: where the content of bundles is replaced, it is what a
-- rollback puts back. NULL: none is known.
ALTER TABLE bundles ADD COLUMN served_version INTEGER REFERENCES versions (id);
UPDATE bundles SET served_version = version WHERE served_at IS NOT NULL;

-- That a listener did not serve the deployment's version, so that what was there before was put back: when, how often in a
-- row, what was served instead, and before when the daemon does not try again. All of them or none.
ALTER TABLE deployments ADD COLUMN rolled_back_at INTEGER;
ALTER TABLE deployments ADD COLUMN roll_backs INTEGER;
ALTER TABLE deployments ADD COLUMN rolled_back_because TEXT;
ALTER TABLE deployments ADD COLUMN retry_at INTEGER;
