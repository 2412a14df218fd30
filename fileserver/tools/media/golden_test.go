package media

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	os.Exit(m.Run())
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// read returns the reply of a reader as a test sees it, and the reader's error.
func read(t *testing.T, reader document.Reader, name string, data []byte) (string, error) {
	t.Helper()
	out := document.NewOutput(document.Request{Limit: 1 << 30})
	err := reader(&document.Input{Name: name, Data: data}, out)
	var reply bytes.Buffer
	if writeErr := out.Write(&reply, "", err); writeErr != nil {
		t.Fatal(writeErr)
	}
	return pretty(t, reply.Bytes()), err
}

// readerOf returns the reader of a file by its name.
func readerOf(name string) document.Reader {
	switch filepath.Ext(name) {
	case ".mp3", ".aac", ".m4a", ".mp4", ".ogg", ".opus", ".flac", ".wav":
		return Audio
	default:
		return Image
	}
}

// documents returns the names of the files in testdata that are read.
func documents(tb testing.TB) []string {
	tb.Helper()
	all, err := filepath.Glob("testdata/*.*")
	if err != nil {
		tb.Fatal(err)
	}
	found := []string(nil)
	for _, path := range all {
		if ending := filepath.Ext(path); ending != ".golden" && ending != ".md" {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		tb.Fatal("no documents")
	}
	return found
}

func load(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestGolden(t *testing.T) {
	for _, path := range documents(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			got, err := read(t, readerOf(path), filepath.Base(path), load(t, path))
			if err != nil {
				t.Fatal(err)
			}
			golden := path + ".golden"
			if updating() {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(load(t, golden)), got); diff != "" {
				t.Errorf("%s (-want +got), run with -update if it should change:\n%s", golden, diff)
			}
		})
	}
}

// TestCutShort reads every beginning of every file: none may panic, and the whole file alone is sound.
func TestCutShort(t *testing.T) {
	for _, path := range documents(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data := load(t, path)
			for n := 0; n < len(data); n += max(1, len(data)/500) {
				if _, err := read(t, readerOf(path), filepath.Base(path), data[:n]); err != nil && !errors.Is(err, document.ErrFormat) {
					t.Fatalf("%d bytes: %v", n, err)
				}
			}
		})
	}
}

func TestNoMedia(t *testing.T) {
	for name, reader := range map[string]document.Reader{"image": Image, "audio": Audio} {
		for _, content := range []string{"", "RIFF", "no picture and no sound", strings.Repeat("\xff", 200_000)} {
			if _, err := read(t, reader, "", []byte(content)); !errors.Is(err, document.ErrFormat) {
				t.Errorf("%s of %.10q: %v", name, content, err)
			}
		}
	}
}
