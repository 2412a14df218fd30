package sandboxtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// BenchmarkGrepThousandFiles searches 1,000 files of 8 KiB for what is in ten of them.
func BenchmarkGrepThousandFiles(b *testing.B) {
	box, err := (&sandboxtest.Fake{}).Create(b.Context(), sandbox.Spec{Template: "python", Runtime: "runc"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = box.Close(b.Context()) })
	files := sandgatev1connect.NewFileServiceClient(&http.Client{Transport: box.Transport()}, sandbox.GuestURL, connect.WithAcceptCompression("gzip", nil, nil))
	for i := range 1000 {
		text := strings.Repeat("func handler(w http.ResponseWriter, r *http.Request) error\n", 140)
		if i%100 == 0 {
			text += "needle\n"
		}
		write := &sandgatev1.WriteRequest{Path: fmt.Sprintf("d%02d/f%03d.go", i%40, i), Content: &sandgatev1.WriteRequest_Text{Text: text}}
		if _, err := files.Write(b.Context(), write); err != nil {
			b.Fatal(err)
		}
	}
	for _, pattern := range []string{"needle", "(?i)NEEDLE", "n[aeiou]+dle"} {
		b.Run(pattern, func(b *testing.B) {
			for b.Loop() {
				res, err := files.Grep(b.Context(), &sandgatev1.GrepRequest{Pattern: pattern})
				if err != nil || res.GetMatches() != 10 || res.GetSearched() != 1000 {
					b.Fatalf("%v, %v", res, err)
				}
			}
		})
	}
}
