package telemetry_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/telemetry"
)

const (
	callTool = "sandgate.v1.ToolService/CallTool"
	stat     = "sandgate.v1.FileService/Stat"
	run      = "sandgate.v1.PythonService/Run"
)

// TestSpans follows calls from the request to the guest, sent to a collector each way.
func TestSpans(t *testing.T) {
	for _, test := range []struct{ protocol, system string }{
		{"http/protobuf", "connectrpc"},
		{"grpc", "grpc"},
	} {
		t.Run(test.protocol, func(t *testing.T) {
			c := newCollector(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", test.protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20key")
			t.Setenv("OTEL_SERVICE_NAME", "sandgate-test")
			var options []connect.ClientOption
			if test.system == "grpc" {
				options = append(options, connect.WithGRPC())
			}
			g := newRig(t, options...)
			id := g.session(t)
			if err := g.stat(t, id, "secret-path", map[string]string{"Sandgate-Request-Id": "secret-header"}); connect.CodeOf(err) != connect.CodeNotFound {
				t.Fatal(err)
			}
			g.run(t, id, "secret-code")
			g.traces.Close(t.Context())

			wantCall(t, c, callTool, stat, map[string]string{
				"rpc.system.name": test.system, "rpc.method": callTool, "rpc.response.status_code": "not_found",
				"sandgate.session": id[:12] + "…", "sandgate.tool": "file_stat", "sandgate.status": "STATUS_UNSPECIFIED",
				"sandgate.bytes_in": "", "sandgate.bytes_out": "",
			}, map[string]string{
				"rpc.system.name": "connectrpc", "rpc.method": stat, "rpc.response.status_code": "not_found", "error.type": "not_found",
			})
			// That the code raised an exception is a result: no span is an error.
			wantCall(t, c, run, run, map[string]string{
				"rpc.system.name": test.system, "rpc.method": run, "rpc.response.status_code": "ok",
				"sandgate.session": id[:12] + "…", "sandgate.bytes_in": "", "sandgate.bytes_out": "",
			}, map[string]string{
				"rpc.system.name": "connectrpc", "rpc.method": run, "rpc.response.status_code": "ok",
			})
			if got := attributes(c.resource); got["service.name"] != "sandgate-test" || got["service.version"] != "test" {
				t.Errorf("the resource is %v", got)
			}
			if c.auth != "Bearer key" {
				t.Errorf("the collector was shown %q", c.auth)
			}
			for _, span := range c.spans {
				if text := span.String(); strings.Contains(text, id) || strings.Contains(strings.ToLower(text), "secret") {
					t.Errorf("a span holds what it must not: %s", text)
				}
			}
			if line := hexOf(c.only(t, callTool).GetTraceId()); !strings.Contains(g.log.String(), `"trace_id":"`+line) {
				t.Errorf("the log does not name the trace %s: %s", line, g.log)
			}
		})
	}
}

// wantCall wants one span of a request, and below it one of a call to the guest.
func wantCall(t *testing.T, c *collector, request, guest string, requestAttrs, guestAttrs map[string]string) {
	t.Helper()
	var server, client *tracev1.Span
	for _, span := range append(c.named(request), c.named(guest)...) {
		switch span.GetKind() {
		case tracev1.Span_SPAN_KIND_SERVER:
			server = span
		case tracev1.Span_SPAN_KIND_CLIENT:
			client = span
		default:
			t.Errorf("a span of kind %s: %s", span.GetKind(), span)
		}
	}
	if server == nil || client == nil {
		t.Fatalf("request %v, guest %v", server, client)
	}
	if len(server.GetParentSpanId()) != 0 || hexOf(client.GetParentSpanId()) != hexOf(server.GetSpanId()) ||
		hexOf(client.GetTraceId()) != hexOf(server.GetTraceId()) {
		t.Errorf("the guest's span is not the request's child:\n%s\n%s", server, client)
	}
	if client.GetStartTimeUnixNano() < server.GetStartTimeUnixNano() || client.GetEndTimeUnixNano() > server.GetEndTimeUnixNano() {
		t.Errorf("the guest's span is not within the request's:\n%s\n%s", server, client)
	}
	if diff := cmp.Diff(requestAttrs, attributes(server.GetAttributes())); diff != "" {
		t.Errorf("%s (-want +got):\n%s", request, diff)
	}
	if diff := cmp.Diff(guestAttrs, attributes(client.GetAttributes())); diff != "" {
		t.Errorf("the guest's %s (-want +got):\n%s", guest, diff)
	}
	if failed := client.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR; failed != (guestAttrs["error.type"] != "") {
		t.Errorf("the guest's span has status %s", client.GetStatus())
	}
	if code := server.GetStatus().GetCode(); code != tracev1.Status_STATUS_CODE_UNSET {
		t.Errorf("the request's span has status %s", code) // these are no failures of the gateway
	}
}

// TestSpanOfALostSandbox tells why there was no answer.
func TestSpanOfALostSandbox(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.url+"/v1/traces")
	g := newRig(t)
	if err := g.stat(t, g.session(t), "die", nil); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Fatal(err)
	}
	g.traces.Close(t.Context())
	span := c.only(t, stat)
	if got := attributes(span.GetAttributes())["error.type"]; got != "session_lost" || span.GetStatus().GetCode() != tracev1.Status_STATUS_CODE_ERROR {
		t.Errorf("%s", span)
	}
}

// TestCallersDoNotChoose sends traces of the caller's making.
func TestCallersDoNotChoose(t *testing.T) {
	const theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, test := range []struct {
		name, sampler, flags string
		spans                int
	}{
		{"asks to be sampled", "always_off", "01", 0},
		{"asks to be sampled, by a parent", "parentbased_always_off", "01", 0},
		{"asks not to be", "parentbased_always_on", "00", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCollector(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
			t.Setenv("OTEL_TRACES_SAMPLER", test.sampler)
			g := newRig(t)
			if err := g.stat(t, g.session(t), "f", map[string]string{
				"Traceparent": "00-" + theirs + "-00f067aa0ba902b7-" + test.flags, "Tracestate": "evil=1", "Baggage": "evil=1",
			}); err != nil {
				t.Fatal(err)
			}
			g.traces.Close(t.Context())
			if got := len(c.named(callTool)) + len(c.named(stat)); got != test.spans {
				t.Fatalf("%d spans, want %d", got, test.spans)
			}
			if test.spans == 0 {
				return
			}
			span := c.only(t, callTool)
			if links := span.GetLinks(); len(links) != 1 || hexOf(links[0].GetTraceId()) != theirs {
				t.Errorf("the caller's span is not linked: %v", links)
			}
			if hexOf(span.GetTraceId()) == theirs || len(span.GetParentSpanId()) != 0 || strings.Contains(span.String(), "evil") {
				t.Errorf("the caller shaped the span: %s", span)
			}
		})
	}
}

// TestHostileRequests sends what would keep a batch from being sent: an attribute that is not UTF-8.
func TestHostileRequests(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
	g := newRig(t)
	id := g.session(t)
	for _, session := range []string{"ses_1234567é", "ses_1234567é and more", "print(1)", strings.Repeat("é", 30)} {
		if err := g.stat(t, session, "f", map[string]string{"Traceparent": "00-zz-" + strings.Repeat("é", 100)}); connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%q: %v", session, err)
		}
	}
	if err := g.stat(t, id, "f", nil); err != nil {
		t.Fatal(err)
	}
	g.traces.Close(t.Context())
	if got := len(c.named(callTool)); got != 5 {
		t.Errorf("%d spans came", got)
	}
	for _, span := range c.named(callTool) {
		if len(span.GetLinks()) != 0 || strings.Contains(span.String(), "print") {
			t.Errorf("%s", span)
		}
	}
}

// TestCollectorFails works without the collector that was asked for, and ends without it.
func TestCollectorFails(t *testing.T) {
	ended := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(ended) })
	for _, test := range []struct{ name, url, told string }{
		{"gone", "http://127.0.0.1:1", "trouble with traces"}, // nobody serves port 1
		{"silent", silent.URL, "the last spans were not sent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", test.url)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "secret-key-without-a-name")
			g := newRig(t)
			if err := g.stat(t, g.session(t), "f", nil); err != nil {
				t.Fatal(err)
			}
			soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // not even the five seconds
			defer cancel()
			g.traces.Close(soon)
			log := g.log.String()
			for _, want := range []string{test.told, "an OTEL_ variable is not understood"} {
				if !strings.Contains(log, want) {
					t.Errorf("the log does not say %q: %s", want, log)
				}
			}
			if strings.Contains(log, "secret") {
				t.Errorf("the log holds the collector's key: %s", log)
			}
		})
	}
}

func TestWhatIsAskedFor(t *testing.T) {
	for _, test := range []struct {
		name  string
		env   map[string]string
		on    bool
		wrong string // part of the error
	}{
		{name: "nothing"},
		{name: "an endpoint", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, on: true},
		{name: "one for traces", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/x"}, on: true},
		{name: "an exporter", env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, on: true},
		{name: "json", env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, on: true},
		{name: "none", env: map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}},
		{name: "disabled", env: map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}},
		{name: "an unknown exporter", env: map[string]string{"OTEL_TRACES_EXPORTER": "jaeger"}, wrong: `OTEL_TRACES_EXPORTER: "jaeger"`},
		{name: "an unknown protocol", env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http"}, wrong: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		{name: "no URL", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "user:secret@collector:4318"}, wrong: "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			traces, err := telemetry.Start(t.Context(), os.LookupEnv, "test", slog.New(slog.DiscardHandler))
			switch {
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong) || strings.Contains(err.Error(), "secret")):
				t.Errorf("error %v, want %s", err, test.wrong)
			case test.wrong == "" && err != nil:
				t.Error(err)
			}
			if on := traces.Tracer() != nil; on != test.on {
				t.Errorf("traces are made: %v", on)
			}
			traces.Close(t.Context())
		})
	}
}
