-- Which warnings were given that a version ends: one for each threshold, in seconds before its end (0: the end itself).
CREATE TABLE expiry_warnings (
    version   INTEGER NOT NULL REFERENCES versions (id),
    threshold INTEGER NOT NULL,
    warned_at INTEGER NOT NULL,
    PRIMARY KEY (version, threshold)
) STRICT;

-- The days before a certificate's end at which load balancers warn of it, as they last said.
CREATE TABLE warning_days (
    load_balancer TEXT NOT NULL PRIMARY KEY,
    days          TEXT NOT NULL
) STRICT;

-- The history knows one outcome more, `warned`; SQLite changes a CHECK by copying the table.
CREATE TABLE history_with_warnings (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    action        TEXT NOT NULL,
    certificate   TEXT,
    load_balancer TEXT,
    listener      TEXT,
    object        TEXT,
    outcome       TEXT NOT NULL CHECK (outcome IN ('started', 'done', 'failed', 'warned')),
    detail        TEXT NOT NULL
) STRICT;

INSERT INTO history_with_warnings
SELECT id, at, action, certificate, load_balancer, listener, object, outcome, detail FROM history ORDER BY id;

DROP TABLE history;
ALTER TABLE history_with_warnings RENAME TO history;

CREATE INDEX history_of_certificate ON history (certificate, id) WHERE certificate IS NOT NULL;
