package store

import (
	"archive/tar"
	"fmt"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// TestQuota does each thing where there is just room for it, and where one byte or one name is missing. Where it
// fails nothing is different from before.
func TestQuota(t *testing.T) {
	t.Parallel()
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		bytes, files int64 // that it needs beyond what is there
		do           func(h *house) error
	}{
		"write a new file":           {100, 1, func(h *house) error { return h.write("n", x(100)) }},
		"write and make directories": {100, 3, func(h *house) error { return h.write("n/m/f", x(100)) }},
		"replace a file":             {100, 1, func(h *house) error { return h.write("d/f", x(100)) }},
		"append":                     {7, 0, func(h *house) error { return appendTo(h, "d/f", x(7)) }},
		"append to nothing":          {7, 1, func(h *house) error { return appendTo(h, "n", x(7)) }},
		"upload":                     {300, 1, func(h *house) error { return h.upload("n", x(100), x(199), x(1)) }},
		"edit": {1001, 1, func(h *house) error {
			_, err := h.Edit(h.Context(), &sandgatev1.EditRequest{Path: "d/f", OldText: "o", NewText: "xx"})
			return err
		}},
		"make a directory": {0, 1, func(h *house) error { return h.makeDir("n") }},
		"copy a directory": {1000, 2, func(h *house) error {
			_, err := h.Copy(h.Context(), &sandgatev1.CopyRequest{Source: "d", Destination: "n"})
			return err
		}},
		"patch": {4 + 1002, 2, func(h *house) error {
			patch := "--- a/d/f\n+++ b/d/f\n@@ -1 +1 @@\n-o" + x(999) + "\n\\ No newline at end of file\n+xx" + x(999) + "\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+new\n"
			_, err := h.Patch(h.Context(), &sandgatev1.PatchRequest{Patch: patch})
			return err
		}},
		"import": {500 + 3, 4, func(h *house) error {
			_, err := h.unpack("", pack(h, tar.Header{Name: "n/f", Size: 500},
				tar.Header{Name: "n/l", Typeflag: tar.TypeSymlink, Linkname: "abc"}, tar.Header{Name: "n/h", Typeflag: tar.TypeLink, Linkname: "n/f"}))
			return err
		}},
	} {
		for _, short := range []Limits{{}, {Bytes: 1}, {Files: 1}} {
			if short.Bytes > c.bytes || short.Files > c.files {
				continue // it needs none of it
			}
			t.Run(fmt.Sprintf("%s, short of %+v", name, short), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, Limits{Bytes: 1000 + c.bytes - short.Bytes, Files: 2 + c.files - short.Files})
				h.put("d/f", "o"+x(999))
				before, err := h.export("")
				h.must(err)
				err = c.do(h)
				if short == (Limits{}) {
					h.must(err)
					h.settled()
					return
				}
				sandboxtest.WantError(t, err, connect.CodeResourceExhausted, "WORKSPACE_FULL")
				after, err := h.export("")
				h.must(err)
				if name != "import" && !strings.Contains(name, "directories") && string(before) != string(after) {
					t.Error("something is different")
				}
				h.settled()
			})
		}
	}
}

func appendTo(h *house, path, text string) error {
	_, err := h.Write(h.Context(), &sandgatev1.WriteRequest{Path: path, Append: true, Content: &sandgatev1.WriteRequest_Text{Text: text}})
	return err
}

// TestQuotaTogether has many callers fill a workspace at once: it never holds more than it may, and the books are
// right in the end.
func TestQuotaTogether(t *testing.T) {
	t.Parallel()
	limits := Limits{Bytes: 10_000, Files: 40}
	h := newHouse(t, limits)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 60 {
				path := fmt.Sprintf("%d/%d", i%3, n%7)
				text := strings.Repeat("x", 97*(n%11))
				for _, err := range []error{
					h.write(path, text), appendTo(h, path, "more"), h.upload(path, text, text), h.makeDir(path + "d/e"),
					moved(h, path, path+"d/e/f"), copyTo(h, fmt.Sprint(i%3), fmt.Sprintf("copy%d", i)), h.remove(fmt.Sprintf("copy%d", n%8)),
				} {
					switch connect.CodeOf(err) {
					case connect.CodeUnknown, connect.CodeInternal:
						if err != nil {
							t.Error(err)
						}
					default:
					}
				}
				if n%13 == 0 {
					_ = h.remove(fmt.Sprint(n % 3))
				}
				if got := h.w.Usage(); got.Bytes > limits.Bytes || got.Files > limits.Files || got.Bytes < 0 || got.Files < 0 {
					t.Errorf("%+v is used of %+v", got, limits)
				}
			}
		})
	}
	all.Wait()
	h.settled()
	for i := range 8 {
		_ = h.remove(fmt.Sprint(i))
		_ = h.remove(fmt.Sprintf("copy%d", i))
	}
	if got := h.w.Usage(); got != (Limits{}) {
		t.Errorf("an empty workspace holds %+v", got)
	}
}

func moved(h *house, from, to string) error {
	_, err := h.Move(h.Context(), &sandgatev1.MoveRequest{Source: from, Destination: to, Overwrite: true})
	return err
}

func copyTo(h *house, from, to string) error {
	_, err := h.Copy(h.Context(), &sandgatev1.CopyRequest{Source: from, Destination: to})
	return err
}
