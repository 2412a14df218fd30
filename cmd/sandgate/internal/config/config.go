// Package config holds what an operator may set of `sandgate serve`: one struct, one table of its
// fields, and the rule by which a flag beats the environment, the environment beats the file and
// the file beats the default.
package config

import (
	"os"
	"path/filepath"
	"time"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity/mtls"
	"github.com/sandgate/sandgate/gateway/identity/oidc"
	"github.com/sandgate/sandgate/sandbox"
)

// DefaultListen is the address on which a gateway answers when nothing else is said.
const DefaultListen = "127.0.0.1:7777"

// DefaultImage is what `make setup` calls the newest sandbox image.
const DefaultImage = "sandgate/sandbox:latest"

// The runtimes that may be asked for.
const (
	// RuntimeAuto means runsc where the engine has it registered, and runc otherwise.
	RuntimeAuto = "auto"
	// RuntimeAny accepts every one.
	RuntimeAny = "any"
	// RuntimeRunsc is gVisor.
	RuntimeRunsc = "runsc"
	// RuntimeRunc is the ordinary runtime, with Sandgate's strict profile.
	RuntimeRunc = "runc"
)

// What may be said of the audit log.
const (
	// AuditOn keeps one.
	AuditOn = "on"
	// AuditOff keeps none.
	AuditOff = "off"
)

// Config is everything that can be set of a gateway. It is plain data; [Load] makes one.
type Config struct {
	// Listen is the host and port on which the gateway answers: a loopback address while anyone
	// is let in.
	Listen string
	// MetricsListen is the host and port of a listener for the metrics alone. Empty: they are served
	// on Listen, at /metrics.
	MetricsListen string
	// TLSCert and TLSKey are PEM files. Both empty: plain HTTP.
	TLSCert, TLSKey string
	// StateDir is the folder of the database, the deployment's name and the lock.
	StateDir string
	// Database is the URL of a PostgreSQL database. Empty: a file in StateDir.
	Database string
	// PepperFile holds what keys are hashed with. Empty: a file in StateDir. Gateways that share a
	// database share it too.
	PepperFile string
	// OIDC are the issuers whose tokens are taken in place of keys.
	OIDC []oidc.Issuer
	// ClientCAFile holds the authorities of client certificates, as PEM. Empty: clients are asked for
	// none.
	ClientCAFile string
	// ClientCerts say whom client certificates let in.
	ClientCerts []mtls.Rule
	// TenantRuntime is what several tenants demand: runsc, or any, where the operator accepts that
	// runc alone is between them.
	TenantRuntime string
	// Image names the sandbox image, by name or content id.
	Image string
	// Runtime is auto, runsc or runc.
	Runtime string
	// CgroupParent is the cgroup under which the engine puts sandboxes. Empty: the engine's own.
	CgroupParent string
	// PoolPython and PoolData say how many warm sandboxes of each template are kept.
	PoolPython, PoolData int
	// MaxSessions bounds the live sessions.
	MaxSessions int
	// MaxCreating bounds how many sandboxes are made at once.
	MaxCreating int
	// DefaultLimits are for sessions that ask for none; MaxLimits are the most a session may ask
	// for. A zero field of MaxLimits does not bound.
	DefaultLimits, MaxLimits sandbox.Limits
	// IdleTimeout and MaxLifetime are the leases of sessions that ask for none.
	IdleTimeout, MaxLifetime time.Duration
	// DrainTimeout is how long calls may go on once the gateway was told to stop.
	DrainTimeout time.Duration
	// Audit is on or off.
	Audit string
	// AuditSize bounds the audit log, in bytes.
	AuditSize int64
	// Libraries is the folder whose directories every session may read. Empty: there are none.
	Libraries string
	// WasmTools is the folder of the operator's own tools. Empty: there are none.
	WasmTools string
	// LogLevel is debug, info, warn or error.
	LogLevel string
	// LogFormat is text or json.
	LogFormat string
	// AllowedHosts are the host names, without port, to accept besides the loopback names.
	AllowedHosts []string
	// AllowedOrigins are Origin headers to accept from browsers.
	AllowedOrigins []string
}

// Default returns the configuration of somebody who sets nothing. The environment is asked for the
// place of the state folder only.
func Default(env Env) Config {
	return Config{
		Listen:        DefaultListen,
		StateDir:      defaultStateDir(env),
		Image:         DefaultImage,
		Runtime:       RuntimeAuto,
		TenantRuntime: RuntimeRunsc,
		PoolPython:    2,
		PoolData:      1,
		MaxSessions:   128,
		MaxCreating:   4,
		DefaultLimits: sandbox.DefaultLimits(),
		MaxLimits: sandbox.Limits{
			MemoryBytes:    8 * sandbox.GiB,
			CPUMillis:      8000,
			MaxProcesses:   4096,
			WorkspaceBytes: 4 * sandbox.GiB,
			WorkspaceFiles: 1_000_000,
		},
		IdleTimeout:  gateway.DefaultIdleTimeout,
		MaxLifetime:  gateway.DefaultMaxLifetime,
		DrainTimeout: 30 * time.Second,
		Audit:        AuditOn,
		AuditSize:    audit.DefaultBytes,
		LogLevel:     "info",
		LogFormat:    "text",
	}
}

// Env looks up an environment variable; false when it is not set. [os.LookupEnv] is one.
type Env func(name string) (value string, set bool)

// Get returns the variable's value, empty when it is not set.
func (e Env) Get(name string) string {
	value, _ := e(name)
	return value
}

// defaultStateDir follows the XDG rules for a person, and the file system hierarchy for root.
func defaultStateDir(env Env) string {
	if dir := env.Get("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sandgate")
	}
	if os.Geteuid() == 0 {
		return "/var/lib/sandgate"
	}
	if home := env.Get("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "sandgate")
	}
	return ""
}

// defaultFiles are the places where a configuration file is looked for, the first that exists wins.
func defaultFiles(env Env) []string {
	var files []string
	if dir := env.Get("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		files = append(files, filepath.Join(dir, "sandgate", "config.yaml"))
	} else if home := env.Get("HOME"); filepath.IsAbs(home) {
		files = append(files, filepath.Join(home, ".config", "sandgate", "config.yaml"))
	}
	return append(files, "/etc/sandgate/config.yaml")
}
