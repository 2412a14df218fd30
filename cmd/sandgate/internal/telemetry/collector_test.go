package telemetry_test

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"connectrpc.com/connect"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OpenTelemetry collector as far as it takes spans, by HTTP and by gRPC.
type collector struct {
	url string

	mu       sync.Mutex
	spans    []*tracev1.Span      // guarded by mu
	resource []*commonv1.KeyValue // of the last batch; guarded by mu
	auth     string               // the header Authorization of the last batch; guarded by mu
}

func newCollector(tb testing.TB) *collector {
	tb.Helper()
	c := &collector{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", c.overHTTP)
	const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	mux.Handle(export, connect.NewUnaryHandlerSimple(export, c.overGRPC))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	tb.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *collector) overHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	batch := &collectorv1.ExportTraceServiceRequest{}
	if err == nil {
		err = proto.Unmarshal(body, batch)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "this is not OTLP", http.StatusBadRequest)
		return
	}
	c.take(batch, r.Header)
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty message has no bytes
}

func (c *collector) overGRPC(ctx context.Context, batch *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	info, _ := connect.CallInfoForHandlerContext(ctx)
	c.take(batch, info.RequestHeader())
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

func (c *collector) take(batch *collectorv1.ExportTraceServiceRequest, header http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.auth = header.Get("Authorization")
	for _, resource := range batch.GetResourceSpans() {
		c.resource = resource.GetResource().GetAttributes()
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

// named returns the spans of one name, in the order in which they ended.
func (c *collector) named(name string) []*tracev1.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*tracev1.Span
	for _, span := range c.spans {
		if span.GetName() == name {
			found = append(found, span)
		}
	}
	return found
}

// only returns the one span of a name.
func (c *collector) only(t *testing.T, name string) *tracev1.Span {
	t.Helper()
	found := c.named(name)
	if len(found) != 1 {
		t.Fatalf("%d spans named %s", len(found), name)
	}
	return found[0]
}

// attributes returns attributes as text.
func attributes(list []*commonv1.KeyValue) map[string]string {
	found := map[string]string{}
	for _, each := range list {
		found[each.GetKey()] = each.GetValue().GetStringValue()
	}
	return found
}

func hexOf(id []byte) string { return hex.EncodeToString(id) }
