-- Where a challenge is presented by dns-01: whose zone, and which TXT record. Both or neither.
ALTER TABLE challenges ADD COLUMN dns_provider TEXT;
ALTER TABLE challenges ADD COLUMN dns_record TEXT;
