package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/identity/oidc"
	"github.com/sandgate/sandgate/sandbox"
)

// lookup is an environment made of a map. HOME leads nowhere, so that no file of this machine is
// read.
func lookup(t *testing.T, vars map[string]string) config.Env {
	t.Helper()
	home := t.TempDir()
	return func(name string) (string, bool) {
		if name == "HOME" {
			return home, true
		}
		value, set := vars[name]
		return value, set
	}
}

// write makes a configuration file.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sandgate.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load(config.Input{Env: lookup(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	for key, origin := range loaded.Origins {
		if origin != "default" {
			t.Errorf("%s comes from %s", key, origin)
		}
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "pool_python: 3\npool_data: 4\nmax_sessions: 5\n")
	loaded, err := config.Load(config.Input{
		File:  file,
		Env:   lookup(t, map[string]string{"SANDGATE_POOL_DATA": "6", "SANDGATE_MAX_SESSIONS": "7"}),
		Flags: map[string]string{"max_sessions": "8"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []int{loaded.Config.MaxCreating, loaded.Config.PoolPython, loaded.Config.PoolData, loaded.Config.MaxSessions}
	if diff := cmp.Diff([]int{4, 3, 6, 8}, got); diff != "" {
		t.Errorf("default, file, environment, flag (-want +got):\n%s", diff)
	}
	var origins []string
	for _, key := range []string{"max_creating", "pool_python", "pool_data", "max_sessions"} {
		origins = append(origins, strings.Replace(loaded.Origins[key], file, "FILE", 1))
	}
	if diff := cmp.Diff([]string{"default", "FILE:1", "SANDGATE_POOL_DATA", "--max-sessions"}, origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}

func TestEveryFieldCanBeWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	env := lookup(t, nil)
	seen := map[string]bool{}
	for _, field := range config.Fields() {
		from, to := config.Default(env), config.Config{}
		if err := field.Set(&to, field.Get(&from)); err != nil {
			t.Errorf("%s: the default does not parse: %v", field.Key, err)
		}
		if field.Get(&to) != field.Get(&from) {
			t.Errorf("%s: %q came back as %q", field.Key, field.Get(&from), field.Get(&to))
		}
		if field.Doc == "" || seen[field.Key] {
			t.Errorf("%s has no comment, or is there twice", field.Key)
		}
		seen[field.Key] = true
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load(config.Input{Env: lookup(t, nil), File: write(t, `
# comments and empty lines are fine
default_memory: 2GiB
default_cpu: 1.5
max_memory: 0
drain_timeout: 90
allowed_hosts: [a.example, "b.example"]
allowed_origins: https://a.example, https://b.example:8443
cgroup_parent:
`)})
	if err != nil {
		t.Fatal(err)
	}
	c := loaded.Config
	if c.DefaultLimits.MemoryBytes != 2*sandbox.GiB || c.DefaultLimits.CPUMillis != 1500 || c.MaxLimits.MemoryBytes != 0 {
		t.Errorf("limits are %+v and %+v", c.DefaultLimits, c.MaxLimits)
	}
	if c.DrainTimeout != 90*time.Second {
		t.Errorf("drain timeout is %s", c.DrainTimeout)
	}
	if diff := cmp.Diff([]string{"a.example", "b.example"}, c.AllowedHosts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"https://a.example", "https://b.example:8443"}, c.AllowedOrigins); diff != "" {
		t.Error(diff)
	}
}

// TestRecords reads lists whose items have settings of their own, from each place where they can be.
func TestRecords(t *testing.T) {
	t.Parallel()
	file := write(t, `
oidc:
  - issuer: https://login.example/a
    audience: us
    tenant_claim: org
    tenants: [acme, other]
    scope_claim: scope
    scope_map: {run: [python, tools], read: files}
    algorithms: ES256
  - {issuer: "https://login.example/b", audience: us, tenant: acme, default_scopes: [files]}
`)
	loaded, err := config.Load(config.Input{Env: lookup(t, nil), File: file})
	if err != nil {
		t.Fatal(err)
	}
	want := []oidc.Issuer{
		{
			URL: "https://login.example/a", Audience: "us", TenantClaim: "org", Tenants: []string{"acme", "other"}, ScopeClaim: "scope",
			ScopeMap: map[string][]string{"run": {"python", "tools"}, "read": {"files"}}, Algorithms: []string{"ES256"},
		},
		{URL: "https://login.example/b", Audience: "us", Tenant: "acme", DefaultScopes: []string{"files"}},
	}
	if diff := cmp.Diff(want, loaded.Config.OIDC); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, field := range config.Fields() {
		if field.Key != "oidc" {
			continue
		}
		again, err := config.Load(config.Input{Env: lookup(t, map[string]string{"SANDGATE_OIDC": field.Get(&loaded.Config)})})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, again.Config.OIDC); diff != "" {
			t.Errorf("from the environment (-want +got):\n%s", diff)
		}
		none, err := config.Load(config.Input{Env: lookup(t, nil), File: file, Flags: map[string]string{"oidc": ""}})
		if err != nil || len(none.Config.OIDC) != 0 {
			t.Errorf("none by a flag: %v, %v", none.Config.OIDC, err)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file string
		env  map[string]string
		want []string // each must be in one problem
	}{
		"unknown":        {file: "nothing_like_it_at_all: 1", want: []string{":1: nothing_like_it_at_all: is not a setting; `sandgate config show`"}},
		"near":           {file: "\nlog_levl: info", want: []string{":2: log_levl: is not a setting; did you mean log_level?"}},
		"twice":          {file: "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", want: []string{":2: listen: is set twice"}},
		"nested":         {file: "pool:\n  python: 1", want: []string{":1: pool: is not a setting"}},
		"map value":      {file: "image: {a: b}", want: []string{":1: image: must be one plain value"}},
		"deep list":      {file: "allowed_hosts: [[a]]", want: []string{"may only hold plain values"}},
		"a list":         {file: "- a", want: []string{":1: must be a list of `setting: value` lines"}},
		"not yaml":       {file: "a: [", want: []string{"is not YAML"}},
		"size":           {file: "default_memory: 1.5 apples", want: []string{`"1.5 apples" is not a size`}},
		"cores":          {file: "max_cpu: -1", want: []string{`"-1" is not a number of cores`}},
		"number":         {file: "pool_data: many", want: []string{`pool_data: "many" is not a whole number from 0`}},
		"range":          {file: "max_sessions: 0", want: []string{"from 1 to"}},
		"span":           {file: "drain_timeout: 3 days", want: []string{"is not a length of time"}},
		"choice":         {file: "runtime: kata", want: []string{`"kata" is none of auto, runsc, runc`}},
		"environment":    {env: map[string]string{"SANDGATE_LOG_FORMAT": "xml"}, want: []string{`SANDGATE_LOG_FORMAT: log_format: "xml" is none of text, json`}},
		"listen":         {file: "listen: a/b:80", want: []string{"listen: \"a/b\" is neither an address nor the name of a host"}},
		"listen all":     {file: "listen: ':80'", want: []string{`":80" would be every address of this host; say 127.0.0.1:80`}},
		"database":       {file: "database: mysql://x/y", want: []string{"database: must be empty, or a URL"}},
		"pepper":         {file: "pepper_file: pepper", want: []string{"pepper_file: \"pepper\" must be an absolute path"}},
		"listen port":    {file: "listen: 127.0.0.1:http", want: []string{`the port "http"`}},
		"listen nothing": {file: "listen: localhost", want: []string{"must be HOST:PORT"}},
		"metrics":        {file: "metrics_listen: ':9777'", want: []string{`metrics_listen: "" is not an IP address`}},
		"metrics name":   {file: "metrics_listen: example.org:9777", want: []string{`"example.org" is not an IP address`}},
		"metrics port":   {file: "metrics_listen: 127.0.0.1", want: []string{"metrics_listen: \"127.0.0.1\" must be HOST:PORT"}},
		"metrics there":  {file: "listen: 127.0.0.1:9\nmetrics_listen: 127.0.0.1:9", want: []string{"metrics_listen: must differ from listen"}},
		"tls":            {file: "tls_cert: /x", want: []string{"tls_cert and tls_key go together"}},
		"tls files":      {file: "tls_cert: /nonexistent/c\ntls_key: /nonexistent/k", want: []string{"tls_cert: cannot be read", "tls_key: cannot be read"}},
		"tls not PEM":    {file: "tls_cert: /etc/passwd\ntls_key: /etc/passwd", want: []string{"are no certificate and its key"}},
		"state dir":      {file: "state_dir: here", want: []string{"state_dir: \"here\" must be an absolute path"}},
		"image":          {file: "image:", want: []string{"image: must name the sandbox image"}},
		"limits":         {file: "default_memory: 1GiB\nmax_memory: 512MiB", want: []string{"limits.memory_bytes is 1073741824; this gateway allows at most"}},
		"data":           {file: "default_memory: 150MiB\ndefault_workspace: 64MiB", want: []string{"pool_data: limits.memory_bytes"}},
		"hosts":          {file: "allowed_hosts: 'https://a'", want: []string{"must be a host name"}},
		"origins":        {file: "allowed_origins: a.example", want: []string{"must look like https://example.org"}},
		"oidc no list":   {file: "oidc: x", want: []string{"oidc: must be a list"}},
		"oidc item":      {file: "oidc: [x]", want: []string{":1: oidc: item 1: must be `setting: value` lines"}},
		"oidc key":       {file: "oidc:\n  - isuer: https://a.example", want: []string{`oidc: item 1: "isuer" is not a setting of it; there are issuer, audience`}},
		"oidc twice":     {file: "oidc:\n  - {tenant: a, tenant: b}", want: []string{"oidc: item 1: tenant is set twice"}},
		"oidc value":     {file: "oidc:\n  - {issuer: [a]}", want: []string{"oidc: item 1: issuer: must be one plain value"}},
		"oidc check":     {file: "oidc:\n  - {issuer: 'http://a.example', audience: us, tenant: acme, default_scopes: [root]}", want: []string{`must be https`}},
		"oidc env":       {env: map[string]string{"SANDGATE_OIDC": "["}, want: []string{"SANDGATE_OIDC: oidc: is not YAML"}},
		"certs alone":    {file: "client_certs: [{uri: 'spiffe://a/b', tenant: acme, scopes: [files]}]", want: []string{"client_ca_file and client_certs go together"}},
		"certs no TLS":   {file: "client_ca_file: /etc/passwd\nclient_certs: [{uri: 'spiffe://a/b', tenant: acme}]", want: []string{"set tls_cert and tls_key", "client_ca_file: is no use", "say its scopes"}},
		"many":           {file: "pool_data: x\nlisten: y", want: []string{"pool_data", "listen"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Input{File: write(t, tt.file), Env: lookup(t, tt.env)})
			var problems config.Problems
			if !errors.As(err, &problems) || len(problems) != len(tt.want) {
				t.Fatalf("got %v, want %d problems", err, len(tt.want))
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// TestMetricsApart keeps the metrics off a port that others reach.
func TestMetricsApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		listen, metrics string
		apart           bool
	}{
		{"127.0.0.1:1", "", false},
		{"localhost:1", "", false},
		{"[::1]:1", "", false},
		{"127.0.0.1:1", "0.0.0.0:2", true},
		{"0.0.0.0:1", "", true},
		{"192.0.2.1:1", "", true},
		{"nonsense", "", true},
	} {
		c := config.Config{Listen: tt.listen, MetricsListen: tt.metrics}
		if got := c.MetricsApart(); got != tt.apart {
			t.Errorf("listen %q, metrics_listen %q: %v", tt.listen, tt.metrics, got)
		}
	}
}

func TestFileThatIsNamedMustExist(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	if _, err := config.Load(config.Input{File: missing, Env: lookup(t, nil)}); err == nil {
		t.Error("a missing file was accepted")
	}
	if _, err := config.Load(config.Input{Env: lookup(t, map[string]string{"SANDGATE_CONFIG": missing})}); err == nil {
		t.Error("a missing file from the environment was accepted")
	}
	if _, err := config.Load(config.Input{File: write(t, strings.Repeat("#", 1<<20+1)), Env: lookup(t, nil)}); err == nil {
		t.Error("a huge file was accepted")
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "17": 17, "1KiB": 1024, "1k": 1024, "2M": 2 << 20, "1.5GiB": 3 << 29, "1 GiB": 1 << 30, "7b": 7} {
		if got, err := config.ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
		if again, err := config.ParseSize(config.FormatSize(want)); err != nil || again != want {
			t.Errorf("%d was written as %q", want, config.FormatSize(want))
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5", "nan", "inf", "1e300GiB", "GiB"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d", text, got)
		}
	}
	for text, want := range map[string]int32{"1": 1000, "0.5": 500, "250m": 250} {
		if got, err := config.ParseCores(text); err != nil || got != want {
			t.Errorf("ParseCores(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "nan", "inf", "9999999"} {
		if got, err := config.ParseCores(text); err == nil {
			t.Errorf("ParseCores(%q) = %d", text, got)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:1\nallowed_hosts: [a]\n"))
	f.Add([]byte("oidc: [{issuer: a, scope_map: {b: [c]}}]\nclient_certs: &x [*x]"))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := config.Load(config.Input{File: name, Env: lookup(t, nil)})
		if err == nil && loaded.File != name {
			t.Error("the file was not read")
		}
	})
}

// TestPasswordsAreNotShown: a URL with one is shown without.
func TestPasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"postgres://u:hush@h/d", "postgres://u@h/d?password=hush", "postgres://u:hush@[::1/d"} {
		c := config.Config{Database: text}
		for _, field := range config.Fields() {
			if shown := field.Show(&c); strings.Contains(shown, "hush") || field.Key == "database" && shown == "" {
				t.Errorf("%s is shown as %q", text, shown)
			}
		}
	}
}
