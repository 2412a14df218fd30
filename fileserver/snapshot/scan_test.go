package snapshot

import (
	"archive/tar"
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
)

// pack makes an archive of headers; a file holds its own name.
func pack(tb testing.TB, headers ...tar.Header) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range headers {
		content := ""
		if header.Typeflag == tar.TypeReg {
			content = header.Name
		}
		header.Size, header.Format = int64(len(content)), tar.FormatPAX
		if err := w.WriteHeader(&header); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func TestScanBelievesNothing(t *testing.T) {
	for name, archive := range map[string][]byte{
		"a link to nothing":   pack(t, tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "nothing"}),
		"a link to a folder":  pack(t, tar.Header{Name: "d/", Typeflag: tar.TypeDir}, tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "d"}),
		"half a file":         pack(t, tar.Header{Name: strings.Repeat("n", 50), Typeflag: tar.TypeReg})[:530],
		"no archive":          bytes.Repeat([]byte("no archive"), 100),
		"names without bound": pack(t, many(200, strings.Repeat("n/", 50_000))...),
	} {
		if _, err := scan(t.Context(), bytes.NewReader(archive), nil); connect.CodeOf(err) == connect.CodeUnknown || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	scanned, err := scan(t.Context(), bytes.NewReader(pack(t,
		tar.Header{Name: "../../up", Typeflag: tar.TypeReg}, tar.Header{Name: "/abs", Typeflag: tar.TypeReg},
		tar.Header{Name: "./", Typeflag: tar.TypeDir}, tar.Header{Name: "fifo", Typeflag: tar.TypeFifo},
		tar.Header{Name: "twin", Typeflag: tar.TypeLink, Linkname: "/abs"},
	)), nil)
	if err != nil || len(scanned.tree) != 3 || scanned.tree["twin"] != scanned.tree["abs"] || scanned.tree["up"].size == 0 {
		t.Errorf("%v, %v", scanned, err)
	}
}

func many(n int, prefix string) []tar.Header {
	headers := make([]tar.Header, n)
	for i := range headers {
		headers[i] = tar.Header{Name: prefix + strings.Repeat("x", i+1), Typeflag: tar.TypeReg}
	}
	return headers
}

// FuzzScan reads what a hostile sandbox may have sent. What is chosen of it is the same when it is read again.
func FuzzScan(f *testing.F) {
	f.Add(pack(f, tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o700}, tar.Header{Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "d/f"}, tar.Header{Name: "t", Typeflag: tar.TypeLink, Linkname: "d/f"}))
	f.Add(pack(f, tar.Header{Name: "\xff\xfe", Typeflag: tar.TypeReg}, tar.Header{Name: strings.Repeat("long/", 60), Typeflag: tar.TypeDir}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		ctx := context.Background()
		all := func(string, state) bool { return true }
		first, err := scan(ctx, bytes.NewReader(archive), all)
		if err != nil {
			return
		}
		var out bytes.Buffer
		names := slices.Collect(maps.Keys(first.tree))
		if err := choose(names, first.links).write(ctx, bytes.NewReader(archive), &out); err != nil {
			return // an entry that cannot be written again
		}
		second, err := scan(ctx, &out, all)
		if err != nil || !maps.Equal(first.tree, second.tree) {
			t.Errorf("%v and %v, %v", first.tree, second, err)
		}
	})
}
