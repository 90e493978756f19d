-- A private key may be made and held by a load balancer, whose name stands here then, and `sealed_key` is empty.
ALTER TABLE versions ADD COLUMN key_holder TEXT;

-- The CSR (DER) that a version is ordered with, where somebody else made it.
ALTER TABLE versions ADD COLUMN csr BLOB;
