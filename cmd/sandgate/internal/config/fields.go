package config

import (
	"net/url"
	"strings"
	"time"

	"github.com/sandgate/sandgate/gateway/identity/mtls"
	"github.com/sandgate/sandgate/gateway/identity/oidc"
)

// envPrefix begins the name of every environment variable that sets a field.
const envPrefix = "SANDGATE_"

// A Field is one setting. Its key is its name in the file; flag and environment variable are
// derived from it.
type Field struct {
	// Key is the name in the file, such as "pool_python".
	Key string
	// Doc says in one line what it does.
	Doc string
	// secret tells that the value holds a password.
	secret bool
	// nested tells that the value is a list whose items have settings of their own.
	nested bool
	// value connects the field with its place in a Config.
	value func(*Config) value
}

// Flag is the field's name on the command line, without the dashes.
func (f Field) Flag() string { return strings.ReplaceAll(f.Key, "_", "-") }

// Env is the field's environment variable.
func (f Field) Env() string { return envPrefix + strings.ToUpper(f.Key) }

// Get returns the field's value as it would be written in a file.
func (f Field) Get(c *Config) string { return f.value(c).String() }

// Show returns the field's value as it may be shown to whoever looks: a password in a URL is left out.
func (f Field) Show(c *Config) string {
	text := f.Get(c)
	if !f.secret || text == "" {
		return text
	}
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		u.RawQuery = "" // it may hold one, too
		return u.Redacted()
	}
	return "(set)"
}

// Set parses text into the field. Its error says what would be right.
func (f Field) Set(c *Config, text string) error { return f.value(c).Set(strings.TrimSpace(text)) }

// Fields returns every setting in the order in which they are shown.
func Fields() []Field {
	fields := []Field{
		text("listen", "host and port to answer on; loopback only while anyone is let in", func(c *Config) *string { return &c.Listen }),
		text("metrics_listen", "host and port for the metrics alone, any address; empty: /metrics of listen", func(c *Config) *string { return &c.MetricsListen }),
		text("tls_cert", "PEM certificate; with tls_key, TLS is served", func(c *Config) *string { return &c.TLSCert }),
		text("tls_key", "PEM key of tls_cert", func(c *Config) *string { return &c.TLSKey }),
		text("state_dir", "folder of the database and the lock", func(c *Config) *string { return &c.StateDir }),
		hidden(text("database", "URL of a PostgreSQL database, postgres://user@host/name; empty: a file in state_dir", func(c *Config) *string { return &c.Database })),
		text("pepper_file", "file of what keys are hashed with; empty: one in state_dir", func(c *Config) *string { return &c.PepperFile }),
		records("oidc", "issuers whose tokens are taken in place of keys (docs/operating.md)", func(c *Config) *[]oidc.Issuer { return &c.OIDC }, issuerParts),
		text("client_ca_file", "PEM certificates of authorities; clients may show certificates of theirs", func(c *Config) *string { return &c.ClientCAFile }),
		records("client_certs", "whom client certificates let in (docs/operating.md)", func(c *Config) *[]mtls.Rule { return &c.ClientCerts }, ruleParts),
		choice("tenant_runtime", "what several tenants demand: runsc, or any, which accepts runc between them", func(c *Config) *string { return &c.TenantRuntime },
			RuntimeRunsc, RuntimeAny),
		text("image", "sandbox image, by name or content id", func(c *Config) *string { return &c.Image }),
		choice("runtime", "what isolates: runsc (gVisor), runc, or auto: runsc where the engine has it", func(c *Config) *string { return &c.Runtime },
			RuntimeAuto, RuntimeRunsc, RuntimeRunc),
		text("cgroup_parent", "cgroup above all sandboxes; empty: the engine's own", func(c *Config) *string { return &c.CgroupParent }),
		count("pool_python", "warm sandboxes of template python", bounds{0, 1000}, func(c *Config) *int { return &c.PoolPython }),
		count("pool_data", "warm sandboxes of template data", bounds{0, 1000}, func(c *Config) *int { return &c.PoolData }),
		count("max_sessions", "live sessions at most", bounds{1, 100_000}, func(c *Config) *int { return &c.MaxSessions }),
		count("max_creating", "sandboxes made at once at most", bounds{1, 256}, func(c *Config) *int { return &c.MaxCreating }),
	}
	fields = append(fields, limitFields()...)
	return append(fields,
		span("idle_timeout", "lease of a session that asks for none: it ends when unused for so long", spanBounds{time.Second, 24 * time.Hour}, func(c *Config) *time.Duration { return &c.IdleTimeout }),
		span("max_lifetime", "life of a session that asks for none, used or not", spanBounds{time.Second, 7 * 24 * time.Hour}, func(c *Config) *time.Duration { return &c.MaxLifetime }),
		span("drain_timeout", "how long calls may go on after SIGTERM", spanBounds{0, time.Hour}, func(c *Config) *time.Duration { return &c.DrainTimeout }),
		choice("audit", "on or off: the record of who did what, in state_dir", func(c *Config) *string { return &c.Audit }, AuditOn, AuditOff),
		size("audit_size", "most that the audit log may have on the disk, 4MiB or more; the oldest goes", func(c *Config) *int64 { return &c.AuditSize }),
		text("libraries", "folder whose directories every session may read as /libraries/NAME; empty: none", func(c *Config) *string { return &c.Libraries }),
		text("wasm_tools", "folder of tools of your own, NAME.wasm with NAME.json (docs/wasm-tools.md); empty: none", func(c *Config) *string { return &c.WasmTools }),
		choice("log_level", "debug, info, warn or error", func(c *Config) *string { return &c.LogLevel }, "debug", "info", "warn", "error"),
		choice("log_format", "text or json", func(c *Config) *string { return &c.LogFormat }, "text", "json"),
		list("allowed_hosts", "Host headers to accept besides loopback names", func(c *Config) *[]string { return &c.AllowedHosts }),
		list("allowed_origins", "Origin headers to accept from browsers", func(c *Config) *[]string { return &c.AllowedOrigins }),
	)
}

// limitFields are the ten bounds of sessions.
func limitFields() []Field {
	return []Field{
		size("default_memory", "memory of a session, files included", func(c *Config) *int64 { return &c.DefaultLimits.MemoryBytes }),
		cores("default_cpu", "processor share of a session, in cores", func(c *Config) *int32 { return &c.DefaultLimits.CPUMillis }),
		count32("default_processes", "processes and threads of a session", func(c *Config) *int32 { return &c.DefaultLimits.MaxProcesses }),
		size("default_workspace", "size of a session's /home/user", func(c *Config) *int64 { return &c.DefaultLimits.WorkspaceBytes }),
		count32("default_workspace_files", "files in a session's /home/user", func(c *Config) *int32 { return &c.DefaultLimits.WorkspaceFiles }),
		size("max_memory", "most memory a session may ask for; 0: no bound", func(c *Config) *int64 { return &c.MaxLimits.MemoryBytes }),
		cores("max_cpu", "most cores a session may ask for; 0: no bound", func(c *Config) *int32 { return &c.MaxLimits.CPUMillis }),
		count32("max_processes", "most processes a session may ask for; 0: no bound", func(c *Config) *int32 { return &c.MaxLimits.MaxProcesses }),
		size("max_workspace", "largest /home/user a session may ask for; 0: no bound", func(c *Config) *int64 { return &c.MaxLimits.WorkspaceBytes }),
		count32("max_workspace_files", "most files a session may ask for; 0: no bound", func(c *Config) *int32 { return &c.MaxLimits.WorkspaceFiles }),
	}
}
