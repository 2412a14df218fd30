-- +goose Up
-- Tool calls. A call that carries its caller's id is there before it is run, and its result before
-- that is told to anybody; others are noted afterwards.
CREATE TABLE calls (
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    call_id    TEXT NOT NULL,
    owner      TEXT NOT NULL,
    session_id TEXT NOT NULL,
    tool       TEXT NOT NULL,
    hash       BYTEA NOT NULL,
    state      BIGINT NOT NULL,
    status     BIGINT NOT NULL,
    error      TEXT NOT NULL,
    result     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX calls_by_caller ON calls (tenant, call_id) WHERE call_id <> '';
CREATE INDEX calls_by_age ON calls (created_at);
