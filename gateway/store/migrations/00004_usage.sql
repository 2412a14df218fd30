-- +goose Up
-- What tenants used, by the hour, and tokens over their lives: then started_at is when the token ends.
CREATE TABLE usage (
    account     TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    calls       BIGINT NOT NULL,
    cpu         BIGINT NOT NULL,
    memory_time BIGINT NOT NULL,
    output      BIGINT NOT NULL,
    egress      BIGINT NOT NULL,
    PRIMARY KEY (account, started_at)
);
CREATE INDEX usage_by_age ON usage (started_at);
