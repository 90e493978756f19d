-- The key that an account is about to get (RFC 8555 §7.3.5). It is here before the CA sees it, and `sealed_key` stays until
-- the CA has said yes: whatever happens between, one of the two is the account's.
ALTER TABLE accounts ADD COLUMN sealed_next_key BLOB;
