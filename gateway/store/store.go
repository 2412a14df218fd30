// Package store keeps what the gateway must not forget: sessions, so that a gateway that was killed
// finds its sandboxes again, and the keys and tenants that may use it. It is in SQLite, or in
// PostgreSQL where several gateways share it, by the same queries. It is the only importer of the
// database drivers.
package store

import "time"

// A Session is what is kept of one session.
type Session struct {
	// ID names the session.
	ID string
	// Tenant is whose it is.
	Tenant string
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

// A Key lets its holder in. The secret itself is kept nowhere.
type Key struct {
	// ID names the key, in lists and as the first part of what its holder has.
	ID string
	// Tenant is whom it lets in.
	Tenant string
	// Name is the operator's own note on it. May be empty.
	Name string
	// Hash is what the secret is checked against.
	Hash []byte
	// Scopes are what it may be used for. Empty: for everything that a tenant may do.
	Scopes []string
	// Tools are the tools it may be used for. Empty: all.
	Tools []string
	// Addresses are the networks it may be used from, such as `10.0.0.0/8`. Empty: from anywhere.
	Addresses []string
	// CreatedAt is when it was made.
	CreatedAt time.Time
	// ExpiresAt is when it ends. Zero: never.
	ExpiresAt time.Time
	// RevokedAt is when it was revoked. Zero: it was not.
	RevokedAt time.Time
	// LastUsedAt is when it was last used, known to a few seconds. Zero: never.
	LastUsedAt time.Time
}

// A Tenant is what the operator has said of one tenant.
type Tenant struct {
	// Name names it.
	Name string
	// Settings are its quotas and its weight, as JSON.
	Settings []byte
}
