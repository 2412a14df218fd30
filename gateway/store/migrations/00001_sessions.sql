-- +goose Up
-- Times are milliseconds since 1970, lengths of time nanoseconds. The types are those that SQLite
-- and PostgreSQL both understand. A file of a gateway from before these migrations has this table.
CREATE TABLE IF NOT EXISTS sessions (
    id              TEXT PRIMARY KEY,
    sandbox_id      TEXT NOT NULL,
    spec            BYTEA NOT NULL,
    metadata        BYTEA NOT NULL,
    created_at      BIGINT NOT NULL,
    idle_timeout    BIGINT NOT NULL,
    idle_expires_at BIGINT NOT NULL,
    hard_expires_at BIGINT NOT NULL,
    lost_reason     TEXT NOT NULL
);
