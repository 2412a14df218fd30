package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
)

// TestRealGatewayIsWatched runs a cell on the real engine and finds it in the metrics, on their own
// port, and in the traces, which are sent at the gateway's end at the latest.
func TestRealGatewayIsWatched(t *testing.T) {
	needsEngine(t, config.RuntimeAuto)
	spans := &spanBox{}
	collector := httptest.NewServer(spans)
	t.Cleanup(collector.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	state := t.TempDir()
	g := startGateway(t, state, "--metrics-listen", "127.0.0.1:0")
	g.expect(t, "msg=serving ") // what the log says before that is there, too
	metrics := "http://" + regexp.MustCompile(`msg="serving metrics" address=(\S+)`).FindStringSubmatch(g.out.String())[1]
	if got := output(t, g.url, "py", "-c", "print('a secret')"); got != "a secret" {
		t.Fatal(got)
	}
	page := fetch(t, http.DefaultClient, metrics, "")
	for _, want := range []string{
		`sandgate_calls_total{code="ok",procedure="/sandgate.v1.PythonService/Run"} `, `sandgate_ready{check="engine"} 1`,
		`sandgate_pool_wanted{template="python"} 1`, `sandgate_sandbox_creations_total{for="`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not in the metrics", want)
		}
	}
	if status := get(t, g.url+"/metrics"); status != http.StatusNotFound {
		t.Errorf("the main port shows the metrics: %d", status)
	}
	g.signal(t, syscall.SIGTERM)
	g.end(t, state)
	const run = "sandgate.v1.PythonService/Run"
	request, guest := spans.find(run, tracev1.Span_SPAN_KIND_SERVER), spans.find(run, tracev1.Span_SPAN_KIND_CLIENT)
	if request == nil || guest == nil || string(guest.GetParentSpanId()) != string(request.GetSpanId()) {
		t.Fatalf("request %v, guest %v", request, guest)
	}
	if strings.Contains(request.String()+guest.String(), "secret") {
		t.Errorf("the spans hold code: %s %s", request, guest)
	}
}

// get returns the status of a page.
func get(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

// spanBox is a collector of spans.
type spanBox struct {
	mu    sync.Mutex
	spans []*tracev1.Span // guarded by mu
}

// ServeHTTP takes a batch.
func (b *spanBox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	batch := &collectorv1.ExportTraceServiceRequest{}
	if err != nil || proto.Unmarshal(body, batch) != nil {
		http.Error(w, "this is not OTLP", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, resource := range batch.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			b.spans = append(b.spans, scope.GetSpans()...)
		}
	}
}

func (b *spanBox) find(name string, kind tracev1.Span_SpanKind) *tracev1.Span {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, span := range b.spans {
		if span.GetName() == name && span.GetKind() == kind {
			return span
		}
	}
	return nil
}
