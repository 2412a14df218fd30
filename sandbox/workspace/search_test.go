package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/sandbox/workspace"
)

func budget(matches int) *workspace.Budget {
	return &workspace.Budget{Matches: matches, Bytes: 1 << 30, Deadline: time.Now().Add(time.Hour)}
}

func newQuery(tb testing.TB, pattern string, literal, ignoreCase bool) *workspace.Query {
	tb.Helper()
	query, err := workspace.NewQuery(pattern, literal, ignoreCase)
	if err != nil {
		tb.Fatal(err)
	}
	return query
}

// found writes lines as grep does.
func found(lines []workspace.Line) string {
	var out strings.Builder
	for _, line := range lines {
		mark := ":"
		if line.Context {
			mark = "-"
		}
		fmt.Fprintf(&out, "%d%s%s\n", line.Number, mark, line.Text)
	}
	return out.String()
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, pattern, text, want string
		literal, ignoreCase       bool
		context                   int
	}{
		{name: "text", pattern: "b", text: "a\nb\nc\nab\n", want: "2:b\n4:ab\n"},
		{name: "no end", pattern: "b", text: "a\nb", want: "2:b\n"},
		{name: "context", pattern: "x", text: "1\n2\nx\n4\n5\n6\nx\nx\n9\n10\n", context: 1, want: "2-2\n3:x\n4-4\n6-6\n7:x\n8:x\n9-9\n"},
		{name: "context that meets", pattern: "x", text: "x\n2\n3\nx\n", context: 2, want: "1:x\n2-2\n3-3\n4:x\n"},
		{name: "anchors", pattern: "^b$", text: "ab\nb\r\nbc\n", want: "2:b\n"},
		{name: "text anchors", pattern: `\Ab\z`, text: "a\nb\n", want: "2:b\n"},
		{name: "not across lines", pattern: `a\sb`, text: "a\nb\na b\n", want: "3:a b\n"},
		{name: "empty lines", pattern: "^$", text: "a\n\nb\n", want: "2:\n"},
		{name: "literal", pattern: "a.(b", literal: true, text: "axxb\na.(b\n", want: "2:a.(b\n"},
		{name: "any case", pattern: "STRAßE|öl", ignoreCase: true, text: "Straße\nÖL\n", want: "1:Straße\n2:ÖL\n"},
		{name: "odd cases", pattern: "kelvins", ignoreCase: true, text: "\u212Aelvin\u017F\nKELVINS\n", want: "1:\u212Aelvin\u017F\n2:KELVINS\n"},
		{name: "required text", pattern: `\w+Error(s?)`, text: "Error\nAnError\n", want: "2:AnError\n"},
		{name: "bad bytes", pattern: "b", text: "\xffb\xfe\n", want: "1:\uFFFDb\uFFFD\n"},
		{name: "nothing", pattern: "b", text: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			query := newQuery(t, test.pattern, test.literal, test.ignoreCase)
			search := workspace.NewSearch(query, test.context, budget(1000))
			for range 2 { // the second time with used buffers, byte by byte
				lines, place, err := search.File(t.Context(), iotest.OneByteReader(strings.NewReader(test.text)), workspace.Place{})
				if err != nil || place != nil {
					t.Fatalf("%v, %v", place, err)
				}
				if diff := cmp.Diff(test.want, found(lines)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// TestSearchInPages compares pages of a long text with what a simple search finds in it.
func TestSearchInPages(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for range 20_000 {
		text.WriteString(strings.Repeat("lorem ipsum ", random.IntN(8)))
		if random.IntN(50) == 0 {
			text.WriteString("Needle")
		}
		text.WriteString("\n")
	}
	var want []string
	for i, line := range strings.Split(text.String(), "\n") {
		if strings.Contains(line, "Needle") {
			want = append(want, fmt.Sprintf("%d:%s", i+1, line))
		}
	}
	for _, pattern := range []string{"Needle", "(?i)nee[d]le", "N.edle"} {
		var got []string
		before := int64(0)
		for place := (&workspace.Place{}); place != nil; {
			search := workspace.NewSearch(newQuery(t, pattern, false, false), 2, budget(7))
			lines, next, err := search.File(t.Context(), strings.NewReader(text.String()[place.Offset:]), *place)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range lines {
				if line.Number <= before {
					t.Fatalf("line %d after %d", line.Number, before)
				}
				before = line.Number
				if !line.Context {
					got = append(got, fmt.Sprintf("%d:%s", line.Number, line.Text))
				}
			}
			place = next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", pattern, diff)
		}
	}
}

func TestSearchClipsLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 10_000)
	search := workspace.NewSearch(newQuery(t, "x+", false, false), 1, budget(10))
	lines, _, err := search.File(t.Context(), strings.NewReader(long+"xx"+long+"\n"+long+"\n"), workspace.Place{})
	if err != nil || len(lines) != 2 {
		t.Fatalf("%v, %v", lines, err)
	}
	for i, line := range lines {
		if !line.Clipped || len(line.Text) > 400 || len(line.Text) < 390 || strings.Contains(line.Text, "xx") != (i == 0) || strings.ContainsRune(line.Text, '\uFFFD') {
			t.Errorf("%+v", line)
		}
	}
	// A line that fits no buffer is searched in pieces, with one number.
	huge := strings.Repeat("a", 5<<20) + "x\nx\n"
	lines, _, err = search.File(t.Context(), strings.NewReader(huge), workspace.Place{})
	if err != nil || len(lines) == 0 || lines[0].Number != 1 || lines[len(lines)-1].Number != 2 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

func TestSearchEnds(t *testing.T) {
	t.Parallel()
	query := newQuery(t, "x", false, false)
	_, _, err := workspace.NewSearch(query, 0, budget(1)).File(t.Context(), strings.NewReader("x\x00"), workspace.Place{})
	if !errors.Is(err, workspace.ErrBinary) {
		t.Error(err)
	}
	broken := errors.New("broken")
	if _, _, err = workspace.NewSearch(query, 0, budget(1)).File(t.Context(), iotest.ErrReader(broken), workspace.Place{}); !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	endless := strings.NewReader(strings.Repeat("a\n", 1<<20))
	if _, _, err = workspace.NewSearch(query, 0, budget(1)).File(ctx, endless, workspace.Place{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	late := &workspace.Budget{Matches: 1, Bytes: 1, Deadline: time.Now()}
	text := strings.Repeat("a\n", 1<<20)
	_, place, err := workspace.NewSearch(query, 0, late).File(t.Context(), strings.NewReader(text), workspace.Place{})
	if err != nil || place == nil || place.Offset == 0 || place.Line != place.Offset/2+1 {
		t.Errorf("%v, %v", place, err)
	}
	for _, pattern := range []string{"(", "a{1001}", "(?=a)", "[z-a]"} {
		if _, err := workspace.NewQuery(pattern, false, false); !errors.Is(err, workspace.ErrPattern) {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func FuzzSearch(f *testing.F) {
	f.Add("a+b", "xaab\r\ny\n", false)
	f.Add("(?i)kS", "\u212A\u017F", true)
	f.Fuzz(func(t *testing.T, pattern, text string, ignoreCase bool) {
		if len(pattern) > 100 || len(text) > 10_000 || workspace.IsBinary([]byte(text)) {
			return
		}
		query, err := workspace.NewQuery(pattern, false, ignoreCase)
		if err != nil {
			return
		}
		if ignoreCase {
			pattern = "(?i:" + pattern + ")"
		}
		simple := regexp.MustCompile(pattern)
		var want []int64
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if text != "" && simple.MatchString(strings.TrimSuffix(line, "\r")) {
				want = append(want, int64(i+1))
			}
		}
		lines, _, err := workspace.NewSearch(query, 0, budget(1<<20)).File(t.Context(), strings.NewReader(text), workspace.Place{})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, line := range lines {
			got = append(got, line.Number)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q in %q: -want +got:\n%s", pattern, text, diff)
		}
	})
}
