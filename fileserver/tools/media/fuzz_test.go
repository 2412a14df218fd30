package media

import (
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

func FuzzImage(f *testing.F) { fuzz(f, Image) }

func FuzzAudio(f *testing.F) { fuzz(f, Audio) }

// fuzz looks for what makes a reader panic, or tell more than it may.
func fuzz(f *testing.F, reader document.Reader) {
	f.Helper()
	for _, path := range documents(f) {
		f.Add(load(f, path))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, _ := read(t, reader, "x", data)
		if limit := 2*maxText + 20*len(data) + 10_000; len(text) > limit {
			t.Errorf("%d bytes of text of %d bytes", len(text), len(data))
		}
	})
}
