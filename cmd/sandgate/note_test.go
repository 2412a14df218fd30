package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/sandbox"
)

func TestNote(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		last bool
		want string
	}{
		{"It ended. The next call runs in a new one: variables and imports are gone, files are kept.", true, "sandgate: It ended.\n"},
		{
			"It ended. The next call runs in a new one: variables and imports are gone, files are kept.", false,
			"sandgate: It ended. The next call runs in a new one: variables and imports are gone, files are kept.\n",
		},
		{"Late. Ask for a longer timeout, or do less in one call.", false, "sandgate: Late. --timeout gives it longer.\n"},
		{
			"The sandbox died while this ran: variables, files and processes are gone. Create a new session; the code was not run again.", true,
			"sandgate: The sandbox died while this ran.\n",
		},
		{"", true, ""},
	} {
		var out bytes.Buffer
		(&app{stdio: stdio{err: &out}, env: func(string) (string, bool) { return "", false }}).note(tt.text, tt.last)
		if out.String() != tt.want {
			t.Errorf("%q (last %t) is told as %q, want %q", tt.text, tt.last, out.String(), tt.want)
		}
	}
}

// TestNotesAreSaid looks for each sentence that is replaced where notes are written, so that none is
// reworded there and then passes by unchanged.
func TestNotesAreSaid(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for _, pattern := range []string{"../../sandbox/guest/*.go", "../../pyrunner/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			said.Write(raw)
		}
	}
	for i, sentence := range slices.Concat(inCommands(), aboutNext()) {
		sentence = strings.TrimLeft(sentence, " :")
		if i%2 == 0 && !strings.Contains(said.String(), sentence) {
			t.Errorf("nobody says %q any more", sentence)
		}
	}
}

func TestRoundSize(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{
		0: "0", 1023: "1023", sandbox.KiB: "1KiB", 65257: "63.7KiB", 536871382: "512MiB", sandbox.GiB: "1GiB", 3 * sandbox.GiB / 2: "1.5GiB",
	} {
		if got := roundSize(bytes); got != want {
			t.Errorf("%d is shown as %q, want %q", bytes, got, want)
		}
	}
}
