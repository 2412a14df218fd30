// Package store keeps the gateway's sessions in SQLite, so that a gateway that was killed finds its
// sandboxes again. It is the only importer of the database driver.
package store

import "time"

// A Session is what is kept of one session.
type Session struct {
	// ID names the session.
	ID string
	// SandboxID names its sandbox to the engine.
	SandboxID string
	// Spec is what the sandbox was made from, as JSON.
	Spec []byte
	// Metadata are the caller's labels.
	Metadata map[string]string
	// CreatedAt is when it was made.
	CreatedAt time.Time
	// IdleTimeout is the length of its lease.
	IdleTimeout time.Duration
	// IdleExpiresAt is when it ends if nobody uses it.
	IdleExpiresAt time.Time
	// HardExpiresAt is when it ends in any case.
	HardExpiresAt time.Time
	// LostReason says why it is lost. Empty while it runs.
	LostReason string
}

// A Lease is the part of a session that changes with every call.
type Lease struct {
	// ID names the session.
	ID string
	// IdleTimeout is the length of the lease.
	IdleTimeout time.Duration
	// IdleExpiresAt is when the session ends if nobody uses it.
	IdleExpiresAt time.Time
}
