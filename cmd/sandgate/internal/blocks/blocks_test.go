package blocks_test

import (
	"strings"
	"testing"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/blocks"
)

// feed gives a block lines and returns after how many it was complete, or -1.
func feed(text string, pasted bool) int {
	var block blocks.Block
	for i, line := range strings.Split(text, "\n") {
		if block.Add(line, pasted) {
			return i + 1
		}
	}
	return -1
}

func TestBlockEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want int
	}{
		{"", 1},
		{"   ", 1},
		{"1+1", 1},
		{"x = (1 +\n2)", 2},
		{"x = [\n1,\n2,\n]", 4},
		{"x = 'it''s ('", 1},
		{"x = \"\"\"one\n\ntwo\"\"\"", 3},
		{"x = '''a\\'''\nb'''", 2},
		{"x = 1 + \\\n2", 2},
		{"x = 'a\\\nb'", 2},
		{"print(1) # (", 1},
		{"if x:\n  y\n", 3},
		{"if x: y\n", 2},
		{"for i in (1,\n2):\n  print(i)\n\n", 4},
		{"def f():\n  return '''\n\n'''\n", 5},
		{"@d\ndef f(): pass\n", 3},
		{"async def f():\n  pass\n", 3},
		{"match x:\n  case 1: pass\n", 3},
		{"iffy = 1", 1},
		{"classes(1)", 1},
		{"d = {1: 2}", 1},
		{"x[1:]", 1},
		{"f = lambda: 1", 1},
		{"!ls | grep \"(", 1},
		{"%timeit f(", 1},
		{"%%bash\nls (\n", 3},
		{")", 1},
		{"if x:", -1},
		{"x = (", -1},
	} {
		if got := feed(tt.text, false); got != tt.want {
			t.Errorf("%q was complete after %d lines, want %d", tt.text, got, tt.want)
		}
	}
}

func TestPastedBlockKeepsEmptyLines(t *testing.T) {
	t.Parallel()
	var block blocks.Block
	for _, line := range []string{"def f():", "  a = 1", "", "  return a"} {
		if block.Add(line, true) {
			t.Fatalf("complete after %q", line)
		}
	}
	if !block.Add("", false) {
		t.Fatal("an empty line that was typed did not end it")
	}
	if want := "def f():\n  a = 1\n\n  return a\n\n"; block.Text() != want {
		t.Errorf("text is %q, want %q", block.Text(), want)
	}
	block.Reset()
	if !block.Empty() || block.Text() != "" {
		t.Error("Reset kept something")
	}
}

func FuzzBlock(f *testing.F) {
	f.Add("def f(x):\n  '''doc'''\n  return [x, \\\n 1]\n\n")
	f.Add("'\\\n\"\"\"")
	f.Fuzz(func(t *testing.T, text string) {
		var block blocks.Block
		var kept strings.Builder
		for line := range strings.SplitSeq(text, "\n") {
			if strings.TrimSpace(line) != "" || !block.Empty() {
				kept.WriteString(line + "\n")
			}
			if block.Add(line, false) {
				if block.Text() != kept.String() {
					t.Fatalf("kept %q of %q", block.Text(), kept.String())
				}
				block.Reset()
				kept.Reset()
			}
		}
	})
}
