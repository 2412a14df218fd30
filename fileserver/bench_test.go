package fileserver_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
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

// BenchmarkThousandFiles packs and unpacks 1,000 files of 4 KiB, with a real guest and without an engine.
func BenchmarkThousandFiles(b *testing.B) {
	w := newWorkbench(b)
	text := bytes.Repeat([]byte("one line of a text that is not too regular: 0123456789\n"), 75)
	for i := range 1000 {
		w.write(fmt.Sprintf("many/d%02d/f%03d.txt", i%40, i), strconv.AppendInt(slices.Clip(text), int64(i), 10))
	}
	for _, name := range []string{"m.zip", "m.tar", "m.tar.gz", "m.tar.xz", "m.tar.zst"} {
		b.Run("pack/"+name, func(b *testing.B) {
			for b.Loop() {
				req := &sandgatev1.ArchiveRequest{SessionId: "s", Paths: []string{"many"}, Destination: name, Overwrite: true}
				if res, err := w.documents.Archive(b.Context(), req); err != nil || res.GetEntries() != 1041 {
					b.Fatal(res, err)
				}
			}
		})
		b.Run("unpack/"+name, func(b *testing.B) {
			if _, err := w.extract(&sandgatev1.ExtractRequest{Path: name, Destination: "out"}); err != nil { // the first compiles the program
				b.Fatal(err)
			}
			for b.Loop() {
				if res, err := w.extract(&sandgatev1.ExtractRequest{Path: name, Destination: "out"}); err != nil || res.GetFiles() != 1000 {
					b.Fatal(res, err)
				}
			}
		})
	}
}
