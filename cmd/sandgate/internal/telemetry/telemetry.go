// Package telemetry sends the gateway's spans to an OpenTelemetry collector, as the standard OTEL_
// variables say. It is the only place that knows OpenTelemetry's SDK; everything else knows its API.
package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const (
	tracerName = "github.com/sandgate/sandgate/gateway"
	// flushTimeout bounds how long the last spans may take on their way.
	flushTimeout = 5 * time.Second
)

// Traces is what sends spans. Whoever started it closes it. Its methods may be called by any number
// of goroutines.
type Traces struct {
	provider *sdktrace.TracerProvider // nil: nothing is sent
	log      *slog.Logger
}

// Start begins to send spans if the environment asks for it, and returns one that sends nothing
// otherwise. It fails when what is asked for does not exist; a collector that does not answer is no
// error, and costs spans only. Version is this program's.
//
// Sampling, batches, limits, headers and certificates are read from the environment by the SDK.
func Start(ctx context.Context, env Env, version string, log *slog.Logger) (*Traces, error) {
	way, err := choose(env)
	if err != nil || way == off {
		return &Traces{}, err
	}
	// The SDK reports through these two alone. Whatever it does not understand it passes over.
	complaints := &complaints{log: log}
	otel.SetErrorHandler(complaints)
	otel.SetLogger(complaints.logger())
	exporter, err := newExporter(ctx, way)
	if err != nil {
		return &Traces{}, fmt.Errorf("prepare to send traces: %w", err)
	}
	from, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("sandgate"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv()) // the last one wins: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
	if err != nil {
		complaints.Handle(err) // what could be read of it is used
	}
	log.Info("traces are sent", "protocol", string(way))
	return &Traces{
		provider: sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(from)),
		log:      log,
	}, nil
}

func newExporter(ctx context.Context, way protocol) (*otlptrace.Exporter, error) {
	if way == overGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// Tracer returns what makes spans, nil where none are sent.
func (t *Traces) Tracer() trace.Tracer {
	if t.provider == nil {
		return nil
	}
	return t.provider.Tracer(tracerName)
}

// Close sends what is left, within five seconds or until ctx ends. What could not be sent by then is
// lost, and said in the log: it must not make the end of a gateway a failed one.
func (t *Traces) Close(ctx context.Context) {
	if t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last spans were not sent", "err", err)
	}
}
