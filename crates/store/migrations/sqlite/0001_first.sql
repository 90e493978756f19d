-- Instants are integers: microseconds since 1970-01-01T00:00:00Z. They compare and index as numbers, and PostgreSQL's
-- timestamptz holds them without loss. To read one: datetime(created_at / 1000000, 'unixepoch').
-- Lists are JSON arrays of text. Columns `sealed_*` hold AES-256-GCM texts, bound to their row.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE accounts (
    issuer        TEXT NOT NULL,
    directory_url TEXT NOT NULL,
    url           TEXT,
    sealed_key    BLOB NOT NULL,
    PRIMARY KEY (issuer, directory_url)
) STRICT;

-- AUTOINCREMENT: a number is never given twice, so nothing that names a version can come to mean another one.
-- The two wide columns stand last: what a plan reads never has to walk over them.
CREATE TABLE versions (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    certificate       TEXT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('pending', 'issued', 'abandoned')),
    names             TEXT NOT NULL,
    key_type          TEXT NOT NULL,
    issuer            TEXT NOT NULL,
    profile           TEXT,
    replaces          INTEGER REFERENCES versions (id),
    order_url         TEXT,
    created_at        INTEGER NOT NULL,
    issued_at         INTEGER,
    abandoned_because TEXT,
    leaf_serial       TEXT,
    leaf_not_before   INTEGER,
    leaf_not_after    INTEGER,
    leaf_sha256       TEXT,
    leaf_names        TEXT,
    leaf_common_name  TEXT,
    leaf_key_family   TEXT,
    leaf_issuer       TEXT,
    sealed_key        BLOB,
    chain             TEXT,
    CHECK (
        (state = 'issued') = (
            issued_at IS NOT NULL AND leaf_serial IS NOT NULL AND leaf_not_before IS NOT NULL
            AND leaf_not_after IS NOT NULL AND leaf_sha256 IS NOT NULL AND leaf_names IS NOT NULL
            AND leaf_issuer IS NOT NULL AND chain IS NOT NULL
        )
    )
) STRICT;

CREATE UNIQUE INDEX versions_one_pending ON versions (certificate) WHERE state = 'pending';
CREATE INDEX versions_issued ON versions (certificate, id) WHERE state = 'issued';
CREATE INDEX versions_replaces ON versions (replaces) WHERE replaces IS NOT NULL;

CREATE TABLE renewal_windows (
    version         INTEGER PRIMARY KEY REFERENCES versions (id),
    start_at        INTEGER NOT NULL,
    end_at          INTEGER NOT NULL,
    explanation_url TEXT,
    next_fetch      INTEGER NOT NULL
) STRICT;

CREATE TABLE issue_failures (
    certificate TEXT NOT NULL PRIMARY KEY,
    failed_at   INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    error       TEXT NOT NULL,
    retry_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE challenges (
    token             TEXT NOT NULL PRIMARY KEY,
    version           INTEGER NOT NULL REFERENCES versions (id),
    name              TEXT NOT NULL,
    key_authorization TEXT NOT NULL,
    load_balancers    TEXT NOT NULL
) STRICT;

CREATE TABLE bundles (
    load_balancer TEXT NOT NULL,
    name          TEXT NOT NULL,
    certificate   TEXT NOT NULL,
    version       INTEGER NOT NULL REFERENCES versions (id),
    served_at     INTEGER,
    PRIMARY KEY (load_balancer, name)
) STRICT;

CREATE TABLE deployments (
    certificate     TEXT NOT NULL,
    load_balancer   TEXT NOT NULL,
    listener        TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'uploaded', 'bound', 'verified', 'failed')),
    version         INTEGER NOT NULL REFERENCES versions (id),
    bundle          TEXT NOT NULL,
    previous_bundle TEXT,
    deployed_serial TEXT,
    served_serial   TEXT,
    verified_at     INTEGER,
    last_error      TEXT,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (certificate, load_balancer, listener)
) STRICT;

CREATE TABLE history (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    action        TEXT NOT NULL,
    certificate   TEXT,
    load_balancer TEXT,
    listener      TEXT,
    object        TEXT,
    outcome       TEXT NOT NULL CHECK (outcome IN ('started', 'done', 'failed')),
    detail        TEXT NOT NULL
) STRICT;

CREATE INDEX history_of_certificate ON history (certificate, id) WHERE certificate IS NOT NULL;
