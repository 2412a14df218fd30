package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestKeyReaderTellsInterrupts(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]io.Reader{
		"at once":     strings.NewReader("ab\x03cd"),
		"by the byte": iotest.OneByteReader(strings.NewReader("ab\x03cd")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := &keyReader{in: in}
			got, err := io.ReadAll(keys)
			if string(got) != "ab" || !errors.Is(err, errInterruptedLine) {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestKeyReaderKeepsAnEndTypedAhead(t *testing.T) {
	t.Parallel()
	got, err := io.ReadAll(&keyReader{in: strings.NewReader("a\x00")})
	if string(got) != "a\x04" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestParseLocation(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]location{
		"file":        {path: "file"},
		"-":           {path: "-"},
		"./a:b":       {path: "./a:b"},
		"/x/a:b":      {path: "/x/a:b"},
		":a":          {path: ":a"},
		"abc:":        {session: "abc"},
		"abc:d/e":     {session: "abc", path: "d/e"},
		"abc:/tmp/x":  {session: "abc", path: "/tmp/x"},
		"a_B-9:x:y":   {session: "a_B-9", path: "x:y"},
		"notes.v1:x":  {path: "notes.v1:x"},
		"two words:x": {path: "two words:x"},
	} {
		if got := parseLocation(text); got != want {
			t.Errorf("parseLocation(%q) = %+v, want %+v", text, got, want)
		}
	}
}

func TestPrintableHidesControls(t *testing.T) {
	t.Parallel()
	if got := printable("a\x1b[31mb\r\u202e\u009bc\nd\te"); strings.ContainsAny(got, "\x1b\r\u202e\u009b") || !strings.Contains(got, "\nd\te") {
		t.Errorf("printable gave %q", got)
	}
}
