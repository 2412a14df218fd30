package workspace_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/sandbox/workspace"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, before, after, want string
		context                   int
	}{
		{"same", "a\nb\n", "a\nb\n", "", 3},
		{"change", "a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n", 3},
		{"no context", "a\nb\nc\n", "a\nB\nc\n", "@@ -2 +2 @@\n-b\n+B\n", 0},
		{"from nothing", "", "a\n", "@@ -0,0 +1 @@\n+a\n", 3},
		{"to nothing", "a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n", 3},
		{"line end", "a\nb", "a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n", 3},
		{"neither end", "a\nb", "x\nb", "@@ -1,2 +1,2 @@\n-a\n+x\n b\n\\ No newline at end of file\n", 3},
		{"two hunks", "1\n2\n3\n4\n5\n6\n", "x\n2\n3\n4\n5\ny\n", "@@ -1,2 +1,2 @@\n-1\n+x\n 2\n@@ -5,2 +5,2 @@\n 5\n-6\n+y\n", 1},
		{"moved", "f\n{\na\n}\ng\n{\nb\n}\n", "g\n{\nb\n}\nf\n{\na\n}\n", "", -1},
	} {
		d, err := workspace.Diff(test.before, test.after, "a/f", "b/f", max(test.context, 0))
		if err != nil {
			t.Fatal(err)
		}
		want := test.want
		if want != "" {
			want = "--- a/f\n+++ b/f\n" + want
		}
		if test.context >= 0 {
			if diff := cmp.Diff(want, d.Unified); diff != "" {
				t.Errorf("%s: -want +got:\n%s", test.name, diff)
			}
		}
		roundTrip(t, test.before, test.after, 3)
	}
	if _, err := workspace.Diff(strings.Repeat("\n", workspace.MaxTextLines+1), "", "a", "b", 3); !errors.Is(err, workspace.ErrTooLarge) {
		t.Error(err)
	}
}

// roundTrip applies the difference of two texts to the first, which makes the second.
func roundTrip(t *testing.T, before, after string, context int) {
	t.Helper()
	d, err := workspace.Diff(before, after, "a/f\n\"x", "b/f\n\"x", context)
	if err != nil {
		t.Fatal(err)
	}
	if d.Unified == "" {
		if before != after {
			t.Errorf("%q and %q are said to be the same", before, after)
		}
		return
	}
	files, err := workspace.ParsePatch(d.Unified)
	if err != nil || len(files) != 1 || files[0].Path != "f\n\"x" {
		t.Fatalf("%v, %v, of\n%s", files, err, d.Unified)
	}
	patched, err := files[0].Apply(before)
	if err != nil || patched.Text != after || patched.Added != d.Added || patched.Removed != d.Removed {
		t.Errorf("%q to %q made %q, %v, by\n%s", before, after, patched.Text, err, d.Unified)
	}
}

// TestDiffOfHostileTexts compares texts that are made to take long.
func TestDiffOfHostileTexts(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	text := func(lines, kinds int) string {
		var b strings.Builder
		for range lines {
			b.WriteByte(byte('a' + random.IntN(kinds)))
			b.WriteByte('\n')
		}
		return b.String()
	}
	roundTrip(t, text(100_000, 2), text(100_000, 2), 3)
	roundTrip(t, strings.Repeat("a\nb\n", 90_000), strings.Repeat("b\nb\na\n", 60_000), 0)
	for range 300 {
		roundTrip(t, text(random.IntN(30), 3), text(random.IntN(30), 3), random.IntN(4))
	}
}

const before = "one\ntwo\nthree\nfour\nfive\nsix\n"

func TestApply(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, hunks, want, why string
		shift                        int
	}{
		{name: "there", hunks: "@@ -2,3 +2,3 @@ func\n two\n-three\n+3\n four\n", want: "one\ntwo\n3\nfour\nfive\nsix\n"},
		{name: "elsewhere", hunks: "@@ -4,3 +4,3 @@\n two\n-three\n+3\n four\n", want: "one\ntwo\n3\nfour\nfive\nsix\n", shift: -2},
		{name: "far away", hunks: "@@ -400 +400 @@\n-six\n+6\n", want: "one\ntwo\nthree\nfour\nfive\n6\n", shift: -394},
		{name: "insert", hunks: "@@ -1,0 +2 @@\n+1.5\n", want: "one\n1.5\ntwo\nthree\nfour\nfive\nsix\n"},
		{name: "append", hunks: "@@ -6 +6,2 @@\n six\n+seven\n", want: before + "seven\n"},
		{name: "empty context line", text: "a\n\nb\n", hunks: "@@ -1,3 +1,3 @@\n-a\n+A\n\n b\n", want: "A\n\nb\n"},
		{name: "no end", text: "a\nb", hunks: "@@ -1,2 +1,2 @@\n-a\n+A\n b\n", want: "A\nb"},
		{name: "add an end", text: "a", hunks: "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n", want: "a\n"},
		{name: "take the end", text: "a\n", hunks: "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n", want: "a"},
		{name: "differs", hunks: "@@ -2 +2 @@\n-zwei\n+2\n", why: `line 2 is "two", not "zwei"`},
		{name: "beyond", hunks: "@@ -9 +9 @@\n-zwei\n+2\n", why: "has only 6 lines"},
		{name: "insert beyond", hunks: "@@ -9,0 +10 @@\n+x\n", why: "has 6 lines"},
		{name: "twice", text: "a\nb\na\nb\n", hunks: "@@ -2 +2 @@\n-a\n+A\n", why: "at line 1, at line 3"},
		{name: "overlap", text: "aa\naa\naa\n", hunks: "@@ -9,2 +9 @@\n-aa\n-aa\n+b\n", why: "at line 1, at line 2"},
		{name: "backwards", hunks: "@@ -4 +4 @@\n-four\n+4\n@@ -1 +1 @@\n-one\n+1\n", why: "behind those of the hunk before"},
		{name: "carriage returns", text: "a\r\nb\r\n", hunks: "@@ -1 +1 @@\n-a\n+A\n", why: `ends in \r\n`},
		{name: "has an end", text: "a\n", hunks: "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n", why: "has an end"},
		{name: "has lines behind", hunks: "@@ -1 +1 @@\n-one\n+1\n\\ No newline at end of file\n", why: "has an end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := test.text
			if text == "" {
				text = before
			}
			files, err := workspace.ParsePatch("--- f\n+++ f\n" + test.hunks)
			if err != nil {
				t.Fatal(err)
			}
			patched, err := files[0].Apply(text)
			var misfit *workspace.HunkError
			switch {
			case test.why != "":
				if !errors.As(err, &misfit) || !strings.Contains(misfit.Why, test.why) {
					t.Errorf("%v", err)
				}
			case err != nil:
				t.Error(err)
			case patched.Text != test.want || patched.Hunks[0].Shift != test.shift:
				t.Errorf("%+v", patched)
			}
		})
	}
}

func TestParsePatch(t *testing.T) {
	t.Parallel()
	files, err := workspace.ParsePatch(`From: somebody
diff --git a/x b/x
index 1..2 100644
--- a/x	2026-01-01
+++ b/x	2026-01-02
@@ -1,2 +1 @@
--- a removed line
 kept
diff --git a/new b/new
new file mode 100644
--- /dev/null
+++ b/new
@@ -0,0 +1 @@
+content
--- "a/\303\244 old"
+++ /dev/null
@@ -1 +0,0 @@
-content
-- ` + `
2.50
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 3 || files[0].Path != "x" || files[1].Path != "new" || !files[1].Create || files[2].Path != "ä old" || !files[2].Delete {
		t.Errorf("%+v", files)
	}
	if patched, err := files[0].Apply("-- a removed line\nkept\n"); err != nil || patched.Text != "kept\n" {
		t.Errorf("%+v, %v", patched, err)
	}
	const head = "--- f\n+++ f\n"
	for patch, want := range map[string]string{
		"":                                   "no line",
		"*** Begin Patch\n":                  "no line",
		head:                                 "no hunk",
		"--- f\n@@ -1 +1 @@\n":               `line 2: after "--- FILE"`,
		"@@ -1 +1 @@\n":                      "line 1: a hunk stands behind",
		"--- a/f\n+++ b/g\n":                 "two files",
		"--- /dev/null\n+++ /dev/null\n":     "no file",
		"+++ f\n":                            "is missing",
		"--- \"f\n+++ f\n":                   "does not end",
		"rename from f\nrename to g\n":       "renamed",
		"GIT binary patch\n":                 "binary",
		head + "@@ x @@\n":                   "head of a hunk",
		head + "@@ -1,x +1 @@\n":             "no range",
		head + "@@ -1,0 +1,0 @@\n":           "empty",
		head + "@@ -1,999999999 +1 @@\n":     "no range",
		head + "@@ -1,2 +1,2 @@\n a\n":       "says 2 old and 2 new lines, and it has 1 and 1",
		head + "@@ -1 +1 @@\n-a\n+b\n+c\n":   "a line more",
		head + "@@ -1 +1 @@\n-a\n-b\n+b\n":   "says 1 old and 1 new lines, and it has 2",
		head + "@@ -1,2 +1 @@\n-a\n@@ -3 @@": "and it has 1 and 0",
		head + "@@ -1,2 +1,2 @@\n-a\n\\ No newline at end of file\n+b\n c\n":    "the last",
		head + "@@ -1 +1 @@\n-a\n+\n\\ No newline at end of file\n":             "empty line",
		strings.Repeat(head+"@@ -1 +1 @@\n-a\n+b\n", workspace.MaxPatchFiles+1): "more than 100 files",
		head + strings.Repeat("@@ -1 +1 @@\n-a\n+b\n", 2001):                    "more than 2000 hunks",
	} {
		if _, err := workspace.ParsePatch(patch); !errors.Is(err, workspace.ErrPatch) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v", patch, err)
		}
	}
}

func FuzzPatch(f *testing.F) {
	f.Add("--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n", "a\nb\n")
	f.Add("--- \"f\\n\"\n+++ f\t2026\n@@ -0,0 +1 @@ x\n+a\n", "")
	f.Fuzz(func(t *testing.T, patch, text string) {
		files, err := workspace.ParsePatch(patch)
		if err != nil {
			if !errors.Is(err, workspace.ErrPatch) {
				t.Fatal(err)
			}
			return
		}
		for _, file := range files {
			patched, err := file.Apply(text)
			if err != nil {
				continue
			}
			lines := func(s string) int { return strings.Count(strings.TrimSuffix(s, "\n")+"\n", "\n") * min(len(s), 1) }
			if got := lines(patched.Text) - lines(text); got != patched.Added-patched.Removed && len(text)*len(patched.Text) > 0 {
				t.Errorf("%d lines more by %+v", got, patched)
			}
		}
	})
}

func FuzzDiff(f *testing.F) {
	f.Add("a\nb\nc", "a\nc\n", 1)
	f.Fuzz(func(t *testing.T, before, after string, context int) {
		roundTrip(t, before, after, min(max(context, 0), 10))
	})
}
