package config

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/sandbox"
)

// check reports what is wrong with values that can each be read.
func check(c *Config) Problems {
	var problems Problems
	add := func(field, text string) {
		problems = append(problems, Problem{Field: field, Text: text})
	}
	if text := checkListen(c.Listen); text != "" {
		add("listen", text)
	}
	if text := checkMetricsListen(c); text != "" {
		add("metrics_listen", text)
	}
	checkTLS(c, add)
	checkVouchers(c, add)
	checkDatabase(c, add)
	if !filepath.IsAbs(c.StateDir) {
		add("state_dir", strconv.Quote(c.StateDir)+" must be an absolute path")
	}
	if c.AuditSize < audit.MinBytes {
		add("audit_size", "must be "+FormatSize(audit.MinBytes)+" or more; audit: off keeps no log at all")
	}
	if err := c.DefaultLimits.WithDefaults().Check(c.MaxLimits); err != nil {
		add("default_*", err.Error())
	}
	if data := (sandbox.Spec{Template: "data", Limits: c.DefaultLimits.WithDefaults()}); c.PoolData > 0 && len(problems) == 0 {
		if err := data.Check(c.MaxLimits); err != nil {
			add("pool_data", err.Error())
		}
	}
	if c.Libraries != "" && !filepath.IsAbs(c.Libraries) {
		add("libraries", strconv.Quote(c.Libraries)+" must be empty, or an absolute path")
	}
	if c.WasmTools != "" && !filepath.IsAbs(c.WasmTools) {
		add("wasm_tools", strconv.Quote(c.WasmTools)+" must be empty, or an absolute path")
	}
	if c.Image == "" {
		add("image", "must name the sandbox image, such as "+DefaultImage)
	}
	for _, host := range c.AllowedHosts {
		if strings.ContainsAny(host, "/:*@ ") {
			add("allowed_hosts", strconv.Quote(host)+" must be a host name without a port")
		}
	}
	for _, origin := range c.AllowedOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" {
			add("allowed_origins", strconv.Quote(origin)+" must look like https://example.org")
		}
	}
	return problems
}

// checkDatabase says what is wrong with where things are kept, or nothing.
func checkDatabase(c *Config, add func(field, text string)) {
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		add("database", "must be empty, or a URL that looks like postgres://user@host/name")
	}
	if c.PepperFile != "" && !filepath.IsAbs(c.PepperFile) {
		add("pepper_file", strconv.Quote(c.PepperFile)+" must be an absolute path")
	}
}

// checkListen says what is wrong with a listen address, or nothing. Whether it has to be loopback
// depends on the keys, which are looked at when it is opened.
func checkListen(address string) string {
	host, text := hostOf(address)
	if text != "" {
		return text
	}
	if _, port, _ := net.SplitHostPort(address); host == "" {
		return strconv.Quote(address) + " would be every address of this host; say 127.0.0.1:" + port + ", or 0.0.0.0:" + port + " once there are keys"
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, "/:*@ ") {
		return strconv.Quote(host) + " is neither an address nor the name of a host"
	}
	return ""
}

// checkMetricsListen says what is wrong with the metrics' own address, or nothing. They name nobody and
// hold no secret, so that any address is allowed; but one has to be named.
func checkMetricsListen(c *Config) string {
	if c.MetricsListen == "" {
		return ""
	}
	host, text := hostOf(c.MetricsListen)
	if text != "" {
		return text
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
		return strconv.Quote(host) + " is not an IP address; 0.0.0.0 and [::] are all addresses of the host"
	}
	if c.MetricsListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		return "must differ from listen; leave it empty to have the metrics there"
	}
	return ""
}

// hostOf returns the host of HOST:PORT, or what is wrong with it.
func hostOf(address string) (host, wrong string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", strconv.Quote(address) + " must be HOST:PORT, such as " + DefaultListen
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", "the port " + strconv.Quote(port) + " is not a number from 0 to 65535"
	}
	return host, ""
}

// isLoopback reports whether a host is this machine alone.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// MetricsApart reports whether the metrics are kept off the main port: they have one of their own, or
// others than the host's users reach the main one.
func (c *Config) MetricsApart() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return c.MetricsListen != "" || err != nil || !isLoopback(host)
}

// checkTLS says what is wrong with the certificate and its key.
func checkTLS(c *Config, add func(field, text string)) {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		add("tls_cert", "tls_cert and tls_key go together; set both or neither")
		return
	}
	if c.TLSCert == "" {
		return
	}
	readable := true
	for field, file := range map[string]string{"tls_cert": c.TLSCert, "tls_key": c.TLSKey} {
		if _, err := os.ReadFile(file); err != nil {
			add(field, "cannot be read: "+reason(err))
			readable = false
		}
	}
	if !readable {
		return
	}
	if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
		add("tls_cert", fmt.Sprintf("%s and %s are no certificate and its key: %s", c.TLSCert, c.TLSKey, strings.TrimPrefix(err.Error(), "tls: ")))
	}
}

// closest suggests the setting that somebody may have meant.
func closest(key string, known map[string]Field) string {
	if best := nearest(key, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return "; `sandgate config show` lists them all"
}

// checkNames reports environment variables whose names are nearly those of settings. Others are left
// alone: Kubernetes, for one, sets SANDGATE_PORT where a service is called sandgate.
func checkNames(names []string) Problems {
	known := map[string]Field{}
	for _, field := range Fields() {
		known[field.Key] = field
	}
	var problems Problems
	for _, name := range names {
		key, ours := strings.CutPrefix(name, envPrefix)
		key = strings.ToLower(key)
		if _, isSetting := known[key]; !ours || isSetting {
			continue
		}
		if best := nearest(key, known); best != "" {
			problems = append(problems, Problem{Source: name, Text: "is not a setting; did you mean " + known[best].Env() + "?"})
		}
	}
	return problems
}

// nearest returns the setting whose key is most like key, nothing where none is like it.
func nearest(key string, known map[string]Field) string {
	best, distance := "", 4
	for candidate := range known {
		if d := editDistance(key, candidate); d < distance || (d == distance && candidate < best) {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance is how many letters must be changed, added or removed to get from a to b. Long
// names are never near: they come from a file and could cost time.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
