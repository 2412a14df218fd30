package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unpacked is what Convert made of an archive: a line for each entry.
func unpacked(tb testing.TB, stream []byte) (entries string, cut bool) {
	tb.Helper()
	var lines strings.Builder
	archive := tar.NewReader(bytes.NewReader(stream))
	for {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return lines.String(), false
		}
		if err != nil {
			return lines.String(), true
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return lines.String(), true
		}
		fmt.Fprintf(&lines, "%c %04o %s %d %x\n", head.Typeflag, head.Mode, head.Name, head.Size, sha256.Sum256(content))
	}
}

func convert(tb testing.TB, req Request, data []byte) (string, Report) {
	tb.Helper()
	if req.Limit == 0 {
		req.Limit = 1 << 30
	}
	var stream bytes.Buffer
	report, err := Convert(req, data, &stream)
	if err != nil {
		tb.Fatal(err)
	}
	entries, cut := unpacked(tb, stream.Bytes())
	if cut && report.Problem == None {
		tb.Errorf("%s: the stream is cut, and nothing was a problem", req.Name)
	}
	return entries, report
}

func load(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// script is a file that is in most archives of the tests.
func script() string { return "#!/bin/sh\n" + strings.Repeat("echo ü\n", 3000) }

func line(kind byte, mode int, name, content string) string {
	return fmt.Sprintf("%c %04o %s %d %x\n", kind, mode, name, len(content), sha256.Sum256([]byte(content)))
}

// TestFormats unpacks what other programs packed.
func TestFormats(t *testing.T) {
	for _, name := range []string{
		"infozip.zip", "python.zip", "stored.zip", "bzip2.zip",
		"gnu.tar", "pax.tar", "ustar.tar", "v7.tar", "python.tar.gz", "python.tar.bz2", "python.tar.xz",
		"tool.tar.xz", "tool.tar.zst", "tool.tar.bz2", "tool.tgz",
		"lzma2.7z", "lzma.7z", "x86.7z", "delta.7z", "bzip2.7z", "deflate.7z", "zstd.7z", "copy.7z",
	} {
		got, report := convert(t, Request{Name: name}, load(t, name))
		for _, want := range []string{
			line('5', 0o755, "tree/", ""), line('5', 0o755, "tree/sub/", ""), line('5', 0o755, "tree/sub/empty/", ""),
			line('0', 0o644, "tree/hello.txt", "Hello, archive.\n"), line('0', 0o755, "tree/sub/run.sh", script()),
		} {
			got = strings.Replace(got, want, "", 1)
			if name == "python.zip" || name == "stored.zip" {
				got = strings.Replace(got, strings.Replace(want, "0755", "0700", 1), "", 1)
			}
		}
		got = strings.ReplaceAll(got, line('5', 0o755, "tree/sub/", ""), "")
		if got != "" || report.Problem != None || report.SkippedTotal != 0 {
			t.Errorf("%s: left %q, report %+v", name, got, report)
		}
		if wants := strings.Count(got, "\n"); wants != 0 {
			t.Errorf("%s: %d entries are others", name, wants)
		}
	}
}

// TestSingle unpacks files that were compressed alone.
func TestSingle(t *testing.T) {
	for _, name := range []string{"run.sh.gz", "run.sh.bz2", "run.sh.xz", "run.sh.zst"} {
		got, report := convert(t, Request{Name: name}, load(t, name))
		if diff := cmp.Diff(line('0', 0o644, "run.sh", script()), got); diff != "" || report.Problem != None {
			t.Errorf("%s: %s %+v", name, diff, report)
		}
	}
}

// TestX86 undoes the filter of programs where nearly every byte looks like a call.
func TestX86(t *testing.T) {
	const sum = "883ad8cd3f5998be90d450c713ce4b7b842b3bc15bde040f0d2fcc4ced9ac184"
	if got, report := convert(t, Request{Name: "code.7z"}, load(t, "code.7z")); !strings.Contains(got, " 70001 "+sum) {
		t.Errorf("%s %+v", got, report)
	}
}

// TestUnread are archives of which nothing, or not all, can be read.
func TestUnread(t *testing.T) {
	for name, want := range map[string]struct {
		problem Problem
		skipped string
	}{
		"encrypted.zip": {None, "tree/hello.txt: it is encrypted"},
		"encrypted.7z":  {None, "tree/hello.txt: it is encrypted"},
		"names.7z":      {Encrypted, ""},
		"ppmd.7z":       {None, "tree/hello.txt: nothing here decompresses it"},
		"lzma.zip":      {None, "tree/hello.txt: nothing here decompresses it"},
		"generate.py":   {Unknown, ""},
	} {
		_, report := convert(t, Request{Name: name}, load(t, name))
		if report.Problem != want.problem || !strings.Contains(strings.Join(report.Skipped, "\n"), want.skipped) {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// TestInclude unpacks some of it.
func TestInclude(t *testing.T) {
	for _, name := range []string{"infozip.zip", "gnu.tar", "x86.7z"} {
		got, report := convert(t, Request{Name: name, Include: []string{"**/*.{txt,md}", "none"}}, load(t, name))
		if diff := cmp.Diff(line('0', 0o644, "tree/hello.txt", "Hello, archive.\n"), got); diff != "" || report.SkippedTotal != 0 {
			t.Errorf("%s: %s %+v", name, diff, report)
		}
	}
	if _, report := convert(t, Request{Name: "gnu.tar", Include: []string{"["}}, load(t, "gnu.tar")); report.Problem != Pattern {
		t.Errorf("%+v", report)
	}
}

// TestCut reads archives that end too early: nothing is unpacked of a file that is not whole.
func TestCut(t *testing.T) {
	for _, name := range []string{"stored.zip", "infozip.zip", "gnu.tar", "python.tar.gz", "python.tar.xz", "tool.tar.zst", "python.tar.bz2", "copy.7z", "lzma2.7z", "run.sh.gz", "run.sh.xz"} {
		data := load(t, name)
		for _, size := range []int{len(data) / 2, len(data) - 9, 20} {
			if name == "gnu.tar" && size > 20_000+len(script()) {
				continue // only padding is missing
			}
			got, report := convert(t, Request{Name: name}, data[:size])
			if report.Problem == None && name != "gnu.tar" || strings.Contains(got, "run.sh") && !strings.Contains(got, line('0', 0o755, "tree/sub/run.sh", script())) {
				t.Errorf("%s, %d bytes: %q, %+v", name, size, got, report)
			}
		}
	}
}

// TestFlipped changes one bit of stored files, which sums find: such a file is not unpacked.
func TestFlipped(t *testing.T) {
	for _, name := range []string{"stored.zip", "copy.7z"} {
		data := load(t, name)
		at := bytes.Index(data, []byte("Hello, archive"))
		data[at] ^= 1
		got, report := convert(t, Request{Name: name}, data)
		if report.Problem != Damaged || strings.Contains(got, "hello.txt") || !strings.Contains(report.Detail, "hello.txt") {
			t.Errorf("%s: %q, %+v", name, got, report)
		}
	}
}
