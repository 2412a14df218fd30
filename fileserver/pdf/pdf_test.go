package pdf

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/fileserver/tools"
	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/wasm"
)

// shared is PDFium, compiled once for all tests of the package.
var shared struct { //nolint:gochecknoglobals // one for the package
	once   sync.Once
	host   *wasm.Host
	reader *Reader
	err    error
}

// updating tells whether the golden files should be written.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	flag.Parse()
	code := m.Run()
	if shared.host != nil {
		if err := shared.host.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func newReader(tb testing.TB) *Reader {
	tb.Helper()
	shared.once.Do(func() {
		var library []byte
		if library, shared.err = tools.PDFium(); shared.err != nil {
			return
		}
		if shared.host, shared.err = wasm.NewHost(""); shared.err == nil {
			shared.reader, shared.err = NewReader(context.Background(), shared.host, library)
		}
	})
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.reader
}

func sample(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// read reads a document within a time.
func read(tb testing.TB, data []byte, parts string, within time.Duration) (*document.Reply, error) {
	tb.Helper()
	selection, err := document.ParseSelection(parts)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), within, wasm.ErrTimeout)
	defer cancel()
	out := document.NewOutput(document.Request{Limit: 1 << 20})
	err = newReader(tb).Read(ctx, &document.Input{Data: data, Parts: selection}, out)
	return out.Reply("pdf", err), err
}

// TestRead reads a document with a table, two columns of prose, an outline and ligatures.
func TestRead(t *testing.T) {
	reply, err := read(t, sample(t, "report.pdf"), "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "report.md")
	if updating() {
		if err := os.WriteFile(golden, []byte(reply.Text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(sample(t, "report.md")), reply.Text); diff != "" {
		t.Error(diff)
	}
	if reply.Properties["title"] != "Annual report" || reply.Properties["author"] != "Ada Lovelace" || reply.Properties["pages"] != "3" {
		t.Error(reply.Properties)
	}
}

// TestParts reads some pages only.
func TestParts(t *testing.T) {
	for parts, want := range map[string]string{"3": "page 3", "2-": "page 2 page 3", "outline": "outline", "1,3": "page 1 page 3", "9": ""} {
		reply, err := read(t, sample(t, "report.pdf"), parts, time.Minute)
		var got []string
		for _, part := range reply.Parts {
			got = append(got, part.Location)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v; want %s", parts, got, err, want)
		}
	}
}

// TestImages draws a page, and no more of them than it may.
func TestImages(t *testing.T) {
	images, err := newReader(t).Images(t.Context(), sample(t, "report.pdf"), document.Selection{})
	if err != nil || len(images) != 3 {
		t.Fatalf("%d, %v", len(images), err)
	}
	picture, err := png.Decode(bytes.NewReader(images[0].PNG))
	if err != nil || picture.Bounds().Dx() < 800 || picture.Bounds().Dy() < 1200 {
		t.Fatalf("%v, %v", picture, err)
	}
	dark := 0
	for x := range picture.Bounds().Dx() {
		for y := range picture.Bounds().Dy() {
			if r, _, _, _ := picture.At(x, y).RGBA(); r < 0x4000 {
				dark++
			}
		}
	}
	if all := picture.Bounds().Dx() * picture.Bounds().Dy(); dark < all/1000 || dark > all/4 {
		t.Errorf("%d of %d pixels are dark", dark, all)
	}
}

// made makes a PDF of objects, of which the first is the catalogue.
func made(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	offsets := make([]int, len(objects))
	for i, object := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, at := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

func stream(dictionary, data string) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dictionary, len(data), data)
}

// TestTextThatIsTurned stays in words, whichever way it is drawn.
func TestTextThatIsTurned(t *testing.T) {
	reply, err := read(t, made("<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 500 500] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
		stream("", "BT /F 12 Tf 0 1 -1 0 100 100 Tm (Upwards) Tj ET BT /F 12 Tf 0 -1 1 0 300 300 Tm (Downwards) Tj ET BT /F 12 Tf 310 280 Td (Plain text) Tj ET"),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"), "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Upwards\n", "Downwards\n", "Plain text\n"} {
		if !strings.Contains(reply.Text, want) {
			t.Errorf("%q is not in %q", want, reply.Text)
		}
	}
}

// TestHostile reads what was made to do harm: each ends soon, with an error or without, and the next
// document is read.
func TestHostile(t *testing.T) {
	const catalogue, pages = "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
	for _, test := range []struct {
		name string
		data []byte
		is   func(error) bool
	}{
		{"empty", nil, damaged},
		{"junk", []byte("%PDF-1.7\n" + strings.Repeat("\x00\xff1 0 obj <<", 10_000)), damaged},
		{"encrypted", sample(t, "encrypted.pdf"), func(err error) bool { return errors.Is(err, ErrPassword) }},
		{"cut", sample(t, "report.pdf")[:2000], other},
		{"two thousand million pages", made(catalogue, "<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>", "<< /Type /Page /Parent 2 0 R >>"), other},
		{"pages in a circle", made(catalogue, "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 100000 >>"), other},
		{"a form that draws itself", made(catalogue, pages,
			"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /F 5 0 R >> >> >>",
			stream("", "/F Do"), stream("/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F 5 0 R >> >>", "/F Do /F Do")), late},
		{"bookmarks in a circle", made("<< /Type /Catalog /Pages 2 0 R /Outlines 4 0 R >>", pages, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>",
			"<< /First 5 0 R >>", "<< /Title (a) /Parent 4 0 R /Next 5 0 R /First 5 0 R >>"), other},
		{"deep arrays", made(catalogue, pages, "<< /Type /Page /Parent 2 0 R /Contents "+strings.Repeat("[", 100_000)+" >>"), other},
		{"a huge page", made(catalogue, pages, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 1e38 1e38] >>"), other},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := read(t, test.data, "", 5*time.Second); !test.is(err) {
				t.Errorf("%v", err)
			}
			if reply, err := read(t, sample(t, "report.pdf"), "3", time.Minute); err != nil || !strings.Contains(reply.Text, "The end") {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// late is how a page may end whose depth PDFium bounds and whose drawing it does not.
func late(err error) bool {
	var exit *wasm.ExitError
	return err == nil || errors.Is(err, wasm.ErrTimeout) || errors.As(err, &exit)
}

func damaged(err error) bool { return errors.Is(err, document.ErrFormat) }
func other(err error) bool   { return !errors.Is(err, wasm.ErrTimeout) }

// TestLayoutIsLinear lays out pages that were made to have a table sought in them for ever. It ends, which it
// would not do within the time of all tests if it took a square of the words.
func TestLayoutIsLinear(t *testing.T) {
	const many = 200_000
	at := func(left, bottom float64) word {
		return word{text: "a", left: left, right: left + 5, bottom: bottom, top: bottom + 8}
	}
	for name, place := range map[string]func(i int) word{
		"wide":  func(i int) word { return at(float64(i)*20, 700) },
		"tall":  func(i int) word { return at(float64(50+400*min(i%3, 1)), 700-9*float64(i/2)) },
		"sixty": func(i int) word { return at(float64(i%60)*20+float64(i/60%2)*9, 9e5-9*float64(i/60)) },
	} {
		words := make([]word, many)
		for i := range words {
			words[i] = place(i)
		}
		if text := layOut(words); strings.Count(text, "a") != many {
			t.Errorf("%s: %d of %d words are left", name, strings.Count(text, "a"), many)
		}
	}
}

// TestLeaves ends the reading of a document under way.
func TestLeaves(t *testing.T) {
	errLeft := errors.New("left")
	ctx, leave := context.WithCancelCause(t.Context())
	reader := newReader(t)
	err := reader.with(ctx, sample(t, "report.pdf"), func(f *file) error {
		leave(errLeft)
		for f.failed == nil {
			f.text(1)
		}
		return f.failed
	})
	if !errors.Is(err, errLeft) {
		t.Error(err)
	}
}

// FuzzRead reads whatever there is. It must not fail but by its document, and not hang.
func FuzzRead(f *testing.F) {
	f.Add(sample(f, "report.pdf"))
	f.Add(sample(f, "encrypted.pdf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var exit *wasm.ExitError
		_, err := read(t, data, "1-3", 10*time.Second)
		if err != nil && !damaged(err) && !errors.Is(err, ErrPassword) && !errors.Is(err, wasm.ErrMemory) && !errors.As(err, &exit) {
			t.Error(err)
		}
	})
}
