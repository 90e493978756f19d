-- What the leaf's extendedKeyUsage extension allows, a JSON array of OIDs. Read from `chain` for versions that are older.
ALTER TABLE versions ADD COLUMN leaf_extended_key_usages TEXT;
