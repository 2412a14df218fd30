-- +goose Up
-- Whose sandboxes a session's is among: several gateways may share a PostgreSQL database, and each
-- has an engine of its own. Empty: of the only gateway there was.
ALTER TABLE sessions ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';

-- A key's secret is kept as an HMAC alone. Lists are JSON arrays; an empty one does not restrict.
-- Zero as a time: never.
CREATE TABLE keys (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    hash         BYTEA NOT NULL,
    scopes       TEXT NOT NULL,
    tools        TEXT NOT NULL,
    addresses    TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);

-- What an operator has said of a tenant, as JSON. A tenant without a row has the defaults.
CREATE TABLE tenants (
    name     TEXT PRIMARY KEY,
    settings TEXT NOT NULL
);

-- Counts the changes of what gateways hold in memory, so that they see one by reading a number.
CREATE TABLE generations (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO generations (name, value) VALUES ('identity', 0);
