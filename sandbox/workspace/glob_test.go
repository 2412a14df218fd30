package workspace_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/sandbox/workspace"
)

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, path string
		hidden, want  bool
	}{
		{"*.go", "a.go", false, true},
		{"*.go", "d/a.go", false, false},
		{"*.go", ".a.go", false, false},
		{"*.go", ".a.go", true, true},
		{".*", ".a", false, true},
		{`\.*`, ".a", false, true},
		{"[.]a", ".a", false, false},
		{"**/*.go", "a.go", false, true},
		{"**/*.go", "d/e/a.go", false, true},
		{"**/*.go", ".git/a.go", false, false},
		{"**/*.go", ".git/a.go", true, true},
		{"**/.git/*", "d/.git/a", false, true},
		{"d/**", "d", false, false},
		{"d/**", "d/e/f", false, true},
		{"**", "d/e", false, true},
		{"**/**/a", "a", false, true},
		{"a/**/b", "a/b", false, true},
		{"a/**/b", "a/x/y/b", false, true},
		{"a/**/b", "ax/b", false, false},
		{"a**b", "axxb", false, true},
		{"a**b", "ax/xb", false, false},
		{"./a//b/", "a/b", false, true},
		{"?", "é", false, true},
		{"[!a-c]x", "dx", false, true},
		{"[!a-c]x", "bx", false, false},
		{"[^a-c]x", "dx", false, true},
		{`\*`, "*", false, true},
		{`\*`, "a", false, false},
		{"*.{ts,tsx}", "a.tsx", false, true},
		{"{src,test/unit}/**/*.{c,h}", "test/unit/x/a.h", false, true},
		{"{src,test/unit}/**/*.{c,h}", "test/a.h", false, false},
		{"{a,{b,c}d}", "cd", false, true},
		{"{a}", "a", false, true},
		{"a{,b}", "a", false, true},
		{`\{a,b\}`, "{a,b}", false, true},
		{"[{]a", "{a", false, true},
		{"a}", "a}", false, true},
		{"a\nb*", "a\nbc", false, true},
	} {
		glob, err := workspace.ParseGlob(test.pattern, test.hidden)
		if err != nil {
			t.Errorf("%q: %v", test.pattern, err)
			continue
		}
		if got := glob.Match(test.path); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.path, got)
		}
		for dir := test.path; test.want && dir != ""; { // or the match would not be found
			if dir = dir[:max(strings.LastIndexByte(dir, '/'), 0)]; !glob.Below(dir) {
				t.Errorf("%q: nothing below %q", test.pattern, dir)
			}
		}
	}
}

func TestGlobBelow(t *testing.T) {
	t.Parallel()
	glob, err := workspace.ParseGlob("src/{a,b/*}/x", false)
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{
		"": true, "src": true, "src/a": true, "src/b": true, "src/b/c": true, "src/a/x": false, "src/c": false, "lib": false,
	} {
		if got := glob.Below(dir); got != want {
			t.Errorf("below %q: %v", dir, got)
		}
	}
}

func TestBadGlobs(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"", "/", ".", "../a", "a/../b", "[a", "a[", "[]", `a\`, "{a", "{a,{b}", "a/[b/c]",
		strings.Repeat("{a,b}", 9), strings.Repeat("a/", 64), strings.Repeat("{", 4096),
	} {
		if _, err := workspace.ParseGlob(pattern, false); !errors.Is(err, workspace.ErrPattern) {
			t.Errorf("%.20q: %v", pattern, err)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	f, err := workspace.NewFilter([]string{"*.go", "docs/**"}, []string{"*_test.go", "vendor/", "a/b"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"a.go": true, "x/a.go": true, "a_test.go": false, "docs/x/y": true, "x/docs/y": false} {
		if got := f.File(path); got != want {
			t.Errorf("file %q: %v", path, got)
		}
	}
	for path, want := range map[string]bool{"x": true, "x/vendor": false, "vendor": false, "a/b": false, "x/a/b": true} {
		if got := f.Directory(path); got != want {
			t.Errorf("directory %q: %v", path, got)
		}
	}
	if only, err := workspace.NewFilter([]string{"src/*.c"}, nil); err != nil || only.Directory("lib") || !only.Directory("src") {
		t.Errorf("directories that no pattern leads to: %v", err)
	}
	if _, err := workspace.NewFilter(nil, []string{"["}); !errors.Is(err, workspace.ErrPattern) {
		t.Error(err)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("**/*.{go,[!a]x}", "a/.b/c.go")
	f.Add(`{a,b{c,\}}}/**`, "a/b")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		glob, err := workspace.ParseGlob(pattern, false)
		if err != nil {
			if !errors.Is(err, workspace.ErrPattern) {
				t.Fatal(err)
			}
			return
		}
		all, err := workspace.ParseGlob(pattern, true)
		if err != nil {
			t.Fatal(err)
		}
		if glob.Match(path) && !all.Match(path) {
			t.Errorf("%q matches %q without hidden names only", pattern, path)
		}
		if dir := path[:max(strings.LastIndexByte(path, '/'), 0)]; glob.Match(path) && !glob.Below(dir) {
			t.Errorf("%q matches %q, and nothing below %q", pattern, path, dir)
		}
	})
}
