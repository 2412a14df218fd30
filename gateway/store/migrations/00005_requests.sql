-- +goose Up
-- What the gateway after a death needs to take up a call that runs. Empty once the call has ended.
ALTER TABLE calls ADD COLUMN request BYTEA NOT NULL DEFAULT '';
