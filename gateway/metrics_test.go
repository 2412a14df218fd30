package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// series returns the lines of a scrape without their values, of those whose names begin with sandgate_.
func (g *rig) series(tb testing.TB) []string {
	tb.Helper()
	var found []string
	for line := range strings.Lines(g.get(tb, "/metrics", nil)) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "sandgate_") {
			found = append(found, name)
		}
	}
	return found
}

// want fails the test unless a scrape has every line.
func (g *rig) wantMetrics(tb testing.TB, lines ...string) {
	tb.Helper()
	page := g.get(tb, "/metrics", nil)
	for _, line := range lines {
		if !strings.Contains(page, line+"\n") {
			tb.Errorf("%s is not in the metrics:\n%s", line, page)
		}
	}
}

// flood makes calls that a caller who wants new series would make. The word is in all that they name.
func (g *rig) flood(t *testing.T, session, word string) {
	t.Helper()
	for _, method := range []string{http.MethodPost, http.MethodGet, strings.ToUpper(word)} {
		for _, path := range []string{
			"/" + word, "/sandgate.v1." + word + "/Run", "/sandgate.v1.PythonService/" + word, "/metrics/" + word,
			"/sandgate.v1.ToolService/ListTools?" + word, "/sandgate.v1.ToolService/ListTools/" + word,
		} {
			for name, value := range map[string]string{
				"Content-Type": "application/" + word, "Content-Encoding": word, "Host": word + ".example", "Origin": "http://" + word,
				"Grpc-Timeout": word, "Connect-Timeout-Ms": word, "User-Agent": word, RequestIDHeader: word,
			} {
				g.fetch(t, method, path, http.Header{name: {value}, "X-" + word: {word}})
			}
		}
	}
	for _, options := range wires() {
		tools := sandgatev1connect.NewToolServiceClient(g.client, g.url, options...)
		files := sandgatev1connect.NewFileServiceClient(g.client, g.url, options...)
		sessions := sandgatev1connect.NewSessionServiceClient(g.client, g.url, options...)
		_, err := tools.CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: session, Name: word})
		wantError(t, err, connect.CodeNotFound, ReasonToolNotFound)
		for _, id := range []string{word, session} {
			_, err = tools.CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: id, Name: "file_read", Arguments: arguments(t, `{"`+word+`":1}`)})
			wantError(t, err, connect.CodeInvalidArgument, ReasonInvalidArgument)
		}
		if _, err := files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: session, Path: word}); err != nil {
			t.Error(err)
		}
		_, err = sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{Template: word, Metadata: map[string]string{word: word}})
		if err == nil {
			t.Errorf("there is a template %s", word)
		}
	}
}

// TestSeriesAreBounded floods the gateway with names of the caller's making: none of them becomes a
// series, and the second flood adds none to the first.
func TestSeriesAreBounded(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	g.flood(t, id, "first")
	before := g.series(t)
	g.flood(t, id, "second")
	after := g.series(t)
	if added := slices.DeleteFunc(slices.Clone(after), func(name string) bool { return slices.Contains(before, name) }); len(added) > 0 {
		t.Errorf("%d series became %d: %v", len(before), len(after), added)
	}
	var codes []string
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		codes = append(codes, code.String())
	}
	var tools []string
	for _, tool := range g.server.opts.Registry.catalog.Tools() {
		tools = append(tools, tool.Proto.GetName())
	}
	closed := map[string][]string{
		"procedure": slices.Collect(maps.Keys(g.server.routes)), "code": append(codes, "ok"), "tool": tools,
		"direction": {"in", "out"}, "state": {"running", "creating", "lost"}, "reason": guestFailures(),
		"cause": {lostMemory, lostClosed, lostRestart, lostDied}, "check": {checkAccepting},
	}
	label := regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
	for _, name := range after {
		for _, found := range label.FindAllStringSubmatch(name, -1) {
			if values := closed[found[1]]; found[1] != "le" && !slices.Contains(values, found[2]) {
				t.Errorf("%s: %q is no value of %s", name, found[2], found[1])
			}
		}
	}
}

func TestFailuresOfGuestsAreCounted(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	files := sandgatev1connect.NewFileServiceClient(g.client, g.url)
	_, err := files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: id, Path: "silent"})
	wantError(t, err, connect.CodeDeadlineExceeded, "SANDBOX_SILENT")
	_, err = files.Read(t.Context(), &sandgatev1.ReadRequest{SessionId: "ses_none", Path: "f"}) // the caller's own
	wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)
	g.wantMetrics(t, `sandgate_guest_failures_total{reason="SANDBOX_SILENT"} 1`, `sandgate_guest_failures_total{reason="SANDBOX_ERROR"} 0`)
}

func TestLossesAreCounted(t *testing.T) {
	g := newRig(t, nil)
	for _, why := range []error{sandbox.ErrLost, sandbox.ErrLost, errors.Join(sandbox.ErrLost, sandbox.ErrMemory), sandbox.ErrClosed} {
		id := g.session(t)
		g.sessions.engine.last().die(why)
		for { // until it is known
			if _, err := g.sessions.Sandbox(anybody(t.Context()), id); connect.CodeOf(err) == connect.CodeFailedPrecondition {
				break
			}
		}
	}
	// The session is marked before it is counted.
	for !strings.Contains(g.get(t, "/metrics", nil), `sandgate_sessions_lost_total{cause="closed"} 1`) {
	}
	g.wantMetrics(t, `sandgate_sessions_lost_total{cause="died"} 2`, `sandgate_sessions_lost_total{cause="memory"} 1`,
		`sandgate_sessions_lost_total{cause="restart"} 0`, `sandgate_sessions{state="lost"} 4`)
}

// TestCreationsAreMeasured tells who a sandbox was made for and how that ended.
func TestCreationsAreMeasured(t *testing.T) {
	var fail error
	driver := MeasureDriver(sandbox.DriverFunc(func(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
		return newBox("box", spec), errors.Join(fail, ctx.Err())
	}), []string{"python", "data"})
	g := newRig(t, func(opts *Options) { opts.Collectors = []prometheus.Collector{driver} })
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	boom := errors.New("boom")
	for _, test := range []struct {
		ctx  context.Context //nolint:containedctx // the case
		fail error
	}{
		{t.Context(), nil},
		{withCall(t.Context(), &call{}), nil},
		{withCall(t.Context(), &call{}), boom},
		{withCall(left, &call{}), nil},
		{late, nil},
	} {
		fail = test.fail
		_, _ = driver.Create(test.ctx, sandbox.Spec{Template: "data"}) // how it ends is counted
	}
	line := func(asker, outcome string, n int) string {
		return fmt.Sprintf(`sandgate_sandbox_creations_total{for="%s",outcome="%s",template="data"} %d`, asker, outcome, n)
	}
	g.wantMetrics(t, line("pool", "ok", 1), line("session", "ok", 1), line("session", "failed", 1), line("session", "cancelled", 1),
		line("pool", "timeout", 1), line("pool", "failed", 0), `sandgate_sandbox_creation_seconds_count{template="data"} 2`,
		`sandgate_sandbox_creation_seconds_count{template="python"} 0`)
}

// TestMetricsApart has the metrics on a listener of their own, and there alone.
func TestMetricsApart(t *testing.T) {
	g := newRig(t, func(opts *Options) { opts.MetricsApart = true })
	if status, _ := g.fetch(t, http.MethodGet, "/metrics", nil); status != http.StatusNotFound {
		t.Errorf("the main port: %d", status)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.server.ServeMetrics(listener) }()
	apart := *g
	apart.url = "http://" + listener.Addr().String()
	apart.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/metrics", http.StatusOK},
		{http.MethodHead, "/metrics", http.StatusOK},
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
		{http.MethodGet, "/livez", http.StatusNotFound},
		{http.MethodPost, sandgatev1connect.SessionServiceCreateSessionProcedure, http.StatusNotFound},
	} {
		// A scraper may know the host by any name.
		if status, body := apart.fetch(t, test.method, test.path, http.Header{"Host": {"metrics.example"}}); status != test.status {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
		}
	}
	apart.wantMetrics(t, `sandgate_ready{check="accepting"} 1`, `sandgate_calls_max 2048`, `sandgate_sessions_max 256`)
	g.client.CloseIdleConnections()
	if err := errors.Join(g.server.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}
