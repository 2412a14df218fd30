package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/journal"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// TestDeployedMetricsExist holds alerts and dashboard against what a gateway with work behind it shows:
// a metric or a label that is misspelt there would be silent for ever.
func TestDeployedMetricsExist(t *testing.T) {
	shown := scrape(t)
	shown["up"] = map[string]bool{} // Prometheus' own
	name := regexp.MustCompile(`\b(up|(?:sandgate|go|process)_[a-z0-9_]+)\b(?:\{([^}]*)\})?`)
	matcher := regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	used := map[string]bool{}
	for file, expressions := range map[string][]string{alertsFile: alerts(t), dashboardFile: panels(t)} {
		if len(expressions) < 10 {
			t.Errorf("%s: only %d expressions were found", file, len(expressions))
		}
		for _, expression := range expressions {
			for _, found := range name.FindAllStringSubmatch(expression, -1) {
				labels, exists := shown[found[1]]
				if !exists {
					t.Errorf("%s: there is no metric %s", file, found[1])
				}
				used[strings.TrimSuffix(found[1], "_bucket")] = true
				for _, label := range matcher.FindAllStringSubmatch(found[2], -1) {
					if !labels[label[1]] && label[1] != "instance" && label[1] != "job" {
						t.Errorf("%s: %s has no label %s, only %v", file, found[1], label[1], labels)
					}
				}
			}
		}
	}
	documented := readText(t, operatingFile)
	for metric := range shown {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
		if !strings.HasPrefix(metric, "sandgate_") {
			continue
		}
		if !used[base] {
			t.Errorf("%s is in neither alerts nor dashboard", base)
		}
		if !strings.Contains(documented, "`"+base+"`") {
			t.Errorf("%s is not in %s", base, operatingFile)
		}
	}
}

// scrape returns the metrics, each with its labels, of a gateway that is joined as serve does, but for
// its engine, and that has served a session, a tool and a caller that it did not let in.
func scrape(t *testing.T) map[string]map[string]bool {
	t.Helper()
	cfg := config.Default(os.LookupEnv)
	cfg.TLSCert, cfg.TLSKey = writeCertificate(t)
	g := joinWithoutEngine(t, &cfg)
	registry, err := newRegistry(g.sessions, g.keys, g.calls, g.ledger, shelves{fileserver.New(g.sessions), readers(t, g.sessions), copies(t, g.ledger)})
	if err != nil {
		t.Fatal(err)
	}
	g.server, err = gateway.NewServer(gateway.Options{
		Registry: registry, Sessions: g.sessions, Logger: g.log, CertFile: cfg.TLSCert, KeyFile: cfg.TLSKey,
		Checks: map[string]gateway.Readiness{"pool": gateway.ReadinessFunc(g.poolReady)},
		Gauges: append(append(g.poolGauges(), g.breakerGauges()...), buildGauge()), Collectors: []prometheus.Collector{g.measured},
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.listener, err = gateway.Listen(t.Context(), "127.0.0.1:0", true); err != nil {
		t.Fatal(err)
	}
	ended, _ := g.start()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	client, url := &http.Client{Transport: transport}, "https://"+g.listener.Addr().String()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := errors.Join(g.server.Shutdown(context.Background()), <-ended); err != nil {
			t.Error(err)
		}
	})
	useOnce(t, client, url)
	return metricsOf(fetch(t, client, url, ""))
}

// writeCertificate writes the certificate of a test server and its key.
func writeCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	server.Close()
	pair := server.TLS.Certificates[0]
	raw, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// joinWithoutEngine makes what a gateway stands on, with guests in this process.
func joinWithoutEngine(t *testing.T, cfg *config.Config) *gatewayParts {
	t.Helper()
	g := &gatewayParts{cfg: cfg, log: slog.New(slog.DiscardHandler), runtime: config.RuntimeRunc}
	g.openPoolOver(&sandboxtest.Fake{}, nil)
	cfg.StateDir = t.TempDir()
	var err error
	if g.keys, err = openKeys(t.Context(), cfg, ""); err == nil {
		err = g.keys.watch(t.Context(), g.log)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.calls = journal.New(t.Context(), journal.Options{Store: g.keys.db, Logger: g.log})
	g.sessions, err = gateway.NewSessions(gateway.SessionOptions{
		Driver: g.pool.Load(), Store: g.keys.db, Runtime: g.runtime, Templates: templates(), Logger: g.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(g.sessions.Close(context.Background()), g.pool.Load().Close(context.Background()), g.calls.Drain(context.Background()), g.keys.Close()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// useOnce does what makes every metric show.
func useOnce(t *testing.T, client *http.Client, url string) {
	t.Helper()
	created, err := sandgatev1connect.NewSessionServiceClient(client, url).CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	arguments, err := structpb.NewStruct(map[string]any{"command": "true"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sandgatev1connect.NewToolServiceClient(client, url).CallTool(t.Context(), &sandgatev1.CallToolRequest{
		SessionId: created.GetSession().GetId(), Name: "shell_run", Arguments: arguments,
	})
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, client, url, "other.example")
}

// fetch asks for the metrics under a name, empty for the right one.
func fetch(t *testing.T, client *http.Client, url, host string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil || (response.StatusCode == http.StatusOK) != (host == "") {
		t.Fatalf("%d %s %v", response.StatusCode, page, err)
	}
	return string(page)
}

// metricsOf returns the names in a scrape, each with its labels.
func metricsOf(page string) map[string]map[string]bool {
	line := regexp.MustCompile(`(?m)^([a-z_][a-z0-9_]*)(?:\{(.*)\})? `)
	label := regexp.MustCompile(`([a-z_]+)="`)
	found := map[string]map[string]bool{}
	for _, series := range line.FindAllStringSubmatch(page, -1) {
		if found[series[1]] == nil {
			found[series[1]] = map[string]bool{}
		}
		for _, name := range label.FindAllStringSubmatch(series[2], -1) {
			found[series[1]][name[1]] = true
		}
	}
	return found
}

// alerts returns the expressions of the rules.
func alerts(t *testing.T) []string {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(readText(t, alertsFile)), &rules); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || rule.Expr == "" {
				t.Errorf("a rule has no name or no expression: %+v", rule)
			}
			found = append(found, rule.Expr)
		}
	}
	return found
}

// panels returns the queries of the dashboard.
func panels(t *testing.T) []string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID      int
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Definition string } }
	}
	if err := json.Unmarshal([]byte(readText(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	var found []string
	var ids []int
	for _, panel := range dashboard.Panels {
		if slices.Contains(ids, panel.ID) {
			t.Errorf("two panels have the id %d", panel.ID)
		}
		ids = append(ids, panel.ID)
		for _, target := range panel.Targets {
			found = append(found, target.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		found = append(found, variable.Definition)
	}
	return found
}
