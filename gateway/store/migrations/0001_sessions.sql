-- Times are milliseconds since 1970, lengths of time nanoseconds.
CREATE TABLE sessions (
    id              TEXT PRIMARY KEY,
    sandbox_id      TEXT NOT NULL,
    spec            BLOB NOT NULL,
    metadata        BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    idle_timeout    INTEGER NOT NULL,
    idle_expires_at INTEGER NOT NULL,
    hard_expires_at INTEGER NOT NULL,
    lost_reason     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
