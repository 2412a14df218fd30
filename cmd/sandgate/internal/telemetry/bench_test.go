package telemetry_test

import "testing"

// BenchmarkRun is python_run with a guest that answers at once: what spans cost. The collector that
// takes them is in this process, too.
func BenchmarkRun(b *testing.B) {
	for _, test := range []struct{ name, exporter, sampler string }{
		{"off", "none", ""},
		{"sampled out", "otlp", "always_off"},
		{"on", "otlp", "always_on"},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.Setenv("OTEL_TRACES_EXPORTER", test.exporter)
			b.Setenv("OTEL_TRACES_SAMPLER", test.sampler)
			b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", newCollector(b).url)
			g := newRig(b)
			id := g.session(b)
			b.ReportAllocs()
			for b.Loop() {
				g.run(b, id, "1+1")
			}
		})
	}
}
