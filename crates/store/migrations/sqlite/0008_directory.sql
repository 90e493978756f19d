-- The URL of the directory that a version was ordered at. An older program kept only the issuer's name: where that had one
-- account, it was that one's; else it is not known, and the version is ordered anew.
ALTER TABLE versions ADD COLUMN directory TEXT NOT NULL DEFAULT '';
UPDATE versions SET directory = (SELECT directory_url FROM accounts WHERE accounts.issuer = versions.issuer)
    WHERE (SELECT count(*) FROM accounts WHERE accounts.issuer = versions.issuer) = 1;

-- The digest of what was ordered when it failed.
ALTER TABLE issue_failures ADD COLUMN ordered TEXT;
