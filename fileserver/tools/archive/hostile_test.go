package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"
)

// tarOf makes an archive of headers, each with as many zeros as it says.
func tarOf(tb testing.TB, headers ...*tar.Header) []byte {
	tb.Helper()
	var b bytes.Buffer
	to := tar.NewWriter(&b)
	for _, head := range headers {
		if err := to.WriteHeader(head); err != nil {
			tb.Fatal(err)
		}
		if _, err := to.Write(make([]byte, head.Size)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// zipOf makes an archive of empty files.
func zipOf(tb testing.TB, headers ...*zip.FileHeader) []byte {
	tb.Helper()
	var b bytes.Buffer
	to := zip.NewWriter(&b)
	for _, head := range headers {
		if _, err := to.CreateHeader(head); err != nil {
			tb.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(tb testing.TB, from io.Reader) []byte {
	tb.Helper()
	var b bytes.Buffer
	to, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		tb.Fatal(err)
	}
	if err := to.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestNames unpacks entries under all kinds of names, of a tar and of a zip archive.
func TestNames(t *testing.T) {
	deep := strings.Repeat("d/", 128)
	for raw, want := range map[string]struct{ name, why string }{
		"a":                                   {"a", ""},
		"./a":                                 {"a", ""},
		"./":                                  {"", ""},
		".":                                   {"", ""},
		"":                                    {"", ""},
		"a//./b":                              {"a/b", ""},
		".hidden":                             {".hidden", ""},
		"..a/b..":                             {"..a/b..", ""},
		"../a":                                {"", "leaves the directory"},
		"a/../../b":                           {"", "leaves the directory"},
		"a/..":                                {"", "leaves the directory"},
		"/etc/passwd":                         {"", "its name is absolute"},
		"a\x00b":                              {"", "its name has a NUL"},
		strings.Repeat("x", 256):              {"", "its name is too long"},
		strings.Repeat("x", 255):              {strings.Repeat("x", 255), ""},
		strings.Repeat("xxxxxxx/", 512):       {"", "it is too many directories deep"},
		strings.Repeat("x", 200) + "/" + deep: {"", "it is too many directories deep"},
		strings.Repeat(strings.Repeat("x", 200)+"/", 21): {"", "its name is too long"},
		deep: {strings.TrimSuffix(deep, "/"), ""},
	} {
		if name, why := Clean(raw); name != want.name || why != want.why {
			t.Errorf("%.40q: %.40q, %q", raw, name, why)
		}
	}
}

// TestLeftOut are entries that are named and not unpacked.
func TestLeftOut(t *testing.T) {
	link := &zip.FileHeader{Name: "link"}
	link.SetMode(0o777 | 1<<27)
	for name, data := range map[string][]byte{
		"a.tar": tarOf(t,
			&tar.Header{Name: "good", Mode: 0o4777, Size: 3}, &tar.Header{Name: "../bad", Size: 3}, &tar.Header{Name: "/bad"},
			&tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, &tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "good"},
			&tar.Header{Name: "dev", Typeflag: tar.TypeChar}, &tar.Header{Name: "disk", Typeflag: tar.TypeBlock}, &tar.Header{Name: "fifo", Typeflag: tar.TypeFifo},
		),
		"a.zip": zipOf(t, &zip.FileHeader{Name: "good"}, &zip.FileHeader{Name: "../bad"}, &zip.FileHeader{Name: `..\bad`}, &zip.FileHeader{Name: `\\host\bad`}, link),
	} {
		got, report := convert(t, Request{Name: name}, data)
		if strings.Count(got, "\n") != 1 || !strings.Contains(got, "0755 good 3") && !strings.Contains(got, "0600 good 0") && !strings.Contains(got, "0644 good 0") ||
			report.SkippedTotal != map[string]int64{"a.tar": 7, "a.zip": 4}[name] || report.Problem != None || len(report.Skipped) != int(report.SkippedTotal) {
			t.Errorf("%s: %q %+v", name, got, report)
		}
	}
}

// TestManySkipped counts what it does not name, and clips what it does.
func TestManySkipped(t *testing.T) {
	var headers []*tar.Header
	for i := range 150 {
		headers = append(headers, &tar.Header{Name: fmt.Sprintf("../%d%s", i, strings.Repeat("\xff", 2000)), Format: tar.FormatGNU})
	}
	_, report := convert(t, Request{Name: "a.tar"}, tarOf(t, headers...))
	if report.SkippedTotal != 150 || len(report.Skipped) != MaxSkipped {
		t.Errorf("%d, %d", report.SkippedTotal, len(report.Skipped))
	}
	var framed bytes.Buffer
	if err := Write(Request{Name: "a.tar", Limit: 1}, tarOf(t, headers...), &framed); err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	split := NewSplitter(&stream)
	if _, err := split.Write(framed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if got, err := split.Report(); err != nil || got.SkippedTotal != 150 {
		t.Error(got, err)
	}
}

// endless is a block again and again.
type endless struct {
	block []byte
	at    int
}

func (e *endless) Read(to []byte) (int, error) {
	n := copy(to, e.block[e.at:])
	e.at = (e.at + n) % len(e.block)
	return n, nil
}

// TestBombs are archives that hold more than there is room for. None of it is kept in memory.
func TestBombs(t *testing.T) {
	const limit = 10 << 20
	empty := tarOf(t, &tar.Header{Name: "x"})[:512]
	unwanted := tarOf(t, &tar.Header{Name: "../x"})[:512]
	sparse := tarOf(t, &tar.Header{Name: "x", Size: 0})
	copy(sparse[124:], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff") // a size of 2^63-1
	copy(sparse[148:], "        ")
	sum := 0
	for _, c := range sparse[:512] {
		sum += int(c)
	}
	copy(sparse[148:], fmt.Sprintf("%06o\x00 ", sum))
	for name, test := range map[string]struct {
		data    []byte
		problem Problem
	}{
		"one.gz":       {gzipped(t, io.LimitReader(&endless{block: make([]byte, 1<<15)}, limit+1)), Large},
		"fits.gz":      {gzipped(t, io.LimitReader(&endless{block: make([]byte, 1<<15)}, limit)), None},
		"one.tar.gz":   {gzipped(t, bytes.NewReader(tarOf(t, &tar.Header{Name: "x", Size: limit + 1}))), Large},
		"two.tar.gz":   {gzipped(t, bytes.NewReader(tarOf(t, &tar.Header{Name: "x", Size: limit}, &tar.Header{Name: "y", Size: 1}))), Large},
		"many.tar.gz":  {gzipped(t, io.LimitReader(&endless{block: empty}, 512*200_000)), Many},
		"other.tar.gz": {gzipped(t, io.LimitReader(&endless{block: unwanted}, 512*1_100_000)), Many},
		"lies.tar":     {sparse, Large},
		"overlap.zip":  {overlapping(t, 200, 1<<20), Damaged},
		"lies.zip":     {lying(t, 1000, 10), Damaged},
		"lies.less":    {lying(t, 10, 1000), Damaged},
		"lies.huge":    {lying(t, 10, 1<<62), Large},
		"lies.minus":   {lying(t, 10, 1<<63), Damaged},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			written := new(counter)
			report, err := Convert(Request{Name: name, Limit: limit}, test.data, written)
			runtime.ReadMemStats(&after)
			if err != nil || report.Problem != test.problem || int64(*written) > limit+512*3*(MaxEntries+2) {
				t.Errorf("%d bytes, %+v, %v", *written, report, err)
			}
			if kept := int64(after.HeapInuse) - int64(before.HeapInuse); kept > 32<<20 {
				t.Errorf("%d bytes are kept", kept)
			}
		})
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// overlapping makes a ZIP archive of entries that all have the same content.
func overlapping(tb testing.TB, entries, size int) []byte {
	tb.Helper()
	var content bytes.Buffer
	to, err := flate.NewWriter(&content, flate.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	zeros := make([]byte, size)
	if _, err := to.Write(zeros); err != nil {
		tb.Fatal(err)
	}
	if err := to.Close(); err != nil {
		tb.Fatal(err)
	}
	return rawZip(content.Bytes(), uint64(size), crc32.ChecksumIEEE(zeros), entries)
}

// lying makes a ZIP archive of a file that says another size than it has.
func lying(tb testing.TB, has int, says uint64) []byte {
	tb.Helper()
	var content bytes.Buffer
	to, err := flate.NewWriter(&content, flate.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	data := make([]byte, has)
	if _, err := to.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := to.Close(); err != nil {
		tb.Fatal(err)
	}
	return rawZip(content.Bytes(), says, crc32.ChecksumIEEE(data), 1)
}

// rawZip writes a ZIP archive by hand: one local file, and so many entries of the directory for it.
func rawZip(content []byte, size uint64, sum uint32, entries int) []byte {
	le := binary.LittleEndian
	common := func(b []byte, large bool) []byte {
		b = le.AppendUint16(b, 45)
		b = le.AppendUint16(b, 0)
		b = le.AppendUint16(b, 8)
		b = le.AppendUint32(b, 0)
		b = le.AppendUint32(b, sum)
		b = le.AppendUint32(b, uint32(len(content)))
		if large {
			b = le.AppendUint32(b, 0xffffffff)
		} else {
			b = le.AppendUint32(b, uint32(size))
		}
		return le.AppendUint16(b, 4)
	}
	large := size >= 1<<32-1
	archive := common([]byte("PK\x03\x04"), false)
	archive = le.AppendUint16(archive, 0)
	archive = append(append(archive, "file"...), content...)
	directory := len(archive)
	for i := range entries {
		archive = common(append(archive, "PK\x01\x02\x2d\x00"...), large)
		extra := []byte(nil)
		if large {
			extra = le.AppendUint64([]byte{1, 0, 8, 0}, size)
		}
		archive = le.AppendUint16(archive, uint16(len(extra)))
		archive = append(archive, make([]byte, 2+2+2+4+4)...)
		archive = append(append(archive, fmt.Sprintf("%04d", i)...), extra...)
	}
	end := append([]byte("PK\x05\x06"), 0, 0, 0, 0)
	end = le.AppendUint16(le.AppendUint16(end, uint16(entries)), uint16(entries))
	end = le.AppendUint32(end, uint32(len(archive)-directory))
	end = le.AppendUint32(end, uint32(directory))
	return append(append(archive, end...), 0, 0)
}

// TestDuplicates come in the order of the archive, so that the last one stays.
func TestDuplicates(t *testing.T) {
	got, report := convert(t, Request{Name: "a.tar"}, tarOf(t, &tar.Header{Name: "x", Size: 1}, &tar.Header{Name: "./x", Size: 2}))
	if report.Problem != None || strings.Index(got, "x 1 ") > strings.Index(got, "x 2 ") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q %+v", got, report)
	}
}

// TestSparse unpacks a file with holes in full.
func TestSparse(t *testing.T) {
	got, report := convert(t, Request{Name: "sparse.tar"}, load(t, "sparse.tar"))
	if report.Problem != None || !strings.Contains(got, " sparse 1000000 ") {
		t.Errorf("%q %+v", got, report)
	}
}

// TestNested unpacks one layer: an archive in an archive stays one.
func TestNested(t *testing.T) {
	inner := gzipped(t, bytes.NewReader(load(t, "gnu.tar")))
	got, report := convert(t, Request{Name: "a.tar.gz.gz"}, gzipped(t, bytes.NewReader(inner)))
	if report.Problem != None || !strings.HasPrefix(got, "0 0644 a.tar.gz ") || strings.Count(got, "\n") != 1 {
		t.Errorf("%q %+v", got, report)
	}
}

// TestTrailing reads what other programs pad or sign.
func TestTrailing(t *testing.T) {
	for _, name := range []string{"run.sh.gz", "python.tar.gz"} {
		got, report := convert(t, Request{Name: name}, append(load(t, name), make([]byte, 512)...))
		if report.Problem != None || !strings.Contains(got, "run.sh") {
			t.Errorf("%s: %q %+v", name, got, report)
		}
	}
}

// TestEmpty archives are archives.
func TestEmpty(t *testing.T) {
	for name, data := range map[string][]byte{
		"a.zip": zipOf(t), "a.tar": tarOf(t), "a.tar.gz": gzipped(t, bytes.NewReader(tarOf(t))), "a.tgz": gzipped(t, bytes.NewReader(make([]byte, 10240))),
	} {
		if got, report := convert(t, Request{Name: name}, data); got != "" || report.Problem != None {
			t.Errorf("%s: %q %+v", name, got, report)
		}
	}
}

// failing takes some bytes.
type failing struct{ left int }

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errRefused
	}
	return len(b), nil
}

var errRefused = errors.New("refused")

// TestRefused ends where nobody takes what is unpacked, and calls nothing of that damaged.
func TestRefused(t *testing.T) {
	big := tarOf(t, &tar.Header{Name: "x", Size: 1 << 20}, &tar.Header{Name: "y", Size: 1 << 20})
	for _, left := range []int{0, 100_000, 1_500_000} {
		if _, err := Convert(Request{Name: "a.tar", Limit: 1 << 30}, big, &failing{left}); !errors.Is(err, errRefused) {
			t.Errorf("after %d bytes: %v", left, err)
		}
	}
}

// TestSplitter takes frames in pieces of any size, and bounds the report.
func TestSplitter(t *testing.T) {
	var framed, want bytes.Buffer
	req := Request{Name: "gnu.tar", Limit: 1 << 20}
	if err := Write(req, load(t, "gnu.tar"), &framed); err != nil {
		t.Fatal(err)
	}
	if _, err := Convert(req, load(t, "gnu.tar"), &want); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 3, 4096, 1 << 20} {
		var got bytes.Buffer
		split := NewSplitter(&got)
		for rest := framed.Bytes(); len(rest) > 0; {
			n := min(size, len(rest))
			if _, err := split.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if _, err := split.Report(); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("in pieces of %d: %d bytes, %v", size, got.Len(), err)
		}
	}
	split := NewSplitter(io.Discard)
	if _, err := split.Write(make([]byte, 4+maxReport+1)); err == nil {
		t.Error("a report without an end was taken")
	}
	if _, err := NewSplitter(io.Discard).Report(); err == nil {
		t.Error("no report is one")
	}
}
