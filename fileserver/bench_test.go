package fileserver_test

import (
	"testing"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// BenchmarkReadDocument reads a small document, without the way to its sandbox: B9 of the design.
func BenchmarkReadDocument(b *testing.B) {
	for _, sample := range []struct{ name, path string }{{"csv", ""}, {"pdf", "pdf/testdata/report.pdf"}} {
		b.Run(sample.name, func(b *testing.B) {
			data := []byte("region;units\nNorth;12\nSouth;7\n")
			if sample.path != "" {
				data = sampleOf(b, sample.path)
			}
			documents := documentsOf(b, func() []byte { return data })
			req := &sandgatev1.ReadDocumentRequest{SessionId: "s", Path: "a." + sample.name}
			if _, err := documents.ReadDocument(b.Context(), req); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := documents.ReadDocument(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
