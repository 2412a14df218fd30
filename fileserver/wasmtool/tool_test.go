package wasmtool

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// TestWalls has a tool do its worst, each time followed by an honest call.
func TestWalls(t *testing.T) {
	made := newHostileTool(t)
	for _, test := range []struct {
		do, text string
		status   sandgatev1.Status
		want     string // in what the model reads
	}{
		{"loop", "", sandgatev1.Status_STATUS_TIMEOUT, "3000 ms"},
		{"calls", "", sandgatev1.Status_STATUS_TIMEOUT, "3000 ms"},
		{"memory", "", sandgatev1.Status_STATUS_MEMORY, "128 MiB"},
		{"flood", "", sandgatev1.Status_STATUS_OUTPUT_LIMIT, "100000 bytes"},
		{"fill", "", sandgatev1.Status_STATUS_OUTPUT_LIMIT, "more files"},
		{"files", "", sandgatev1.Status_STATUS_OUTPUT_LIMIT, "more files"},
		{"stderr", "", sandgatev1.Status_STATUS_ERROR, "eeee"},
		{"open", "", sandgatev1.Status_STATUS_OK, "no more"},
		{"look", "", sandgatev1.Status_STATUS_OK, "0 2022 1"},
		{"write", "/out/b.exe", sandgatev1.Status_STATUS_ERROR, "does not allow"},
		{"write", "/out/.profile", sandgatev1.Status_STATUS_ERROR, "does not allow"},
		{"write", "/out/a/b/c", sandgatev1.Status_STATUS_ERROR, "does not allow"},
		{"write", "/etc/x", sandgatev1.Status_STATUS_ERROR, "/etc"},
	} {
		t.Run(test.do+test.text, func(t *testing.T) {
			files := shelfOfFiles{"/home/user/a.txt": "one", "/home/user/secret.key": "two"}
			before := maps.Clone(files)
			arguments := structOf(t, map[string]any{"do": test.do, "text": test.text, "paths": []any{"a.txt"}})
			res, err := made.call(t.Context(), files, arguments)
			if err != nil {
				t.Fatal(err)
			}
			if res.GetStatus() != test.status || !strings.Contains(text(res), test.want) {
				t.Errorf("%s: %s", res.GetStatus(), text(res))
			}
			if test.do == "look" && text(res) != test.want+"\n" {
				t.Errorf("it found: %s", text(res))
			}
			if !maps.Equal(files, before) {
				t.Errorf("it left %v", files)
			}
			res, err = made.call(t.Context(), files, structOf(t, map[string]any{"do": "echo", "text": "hello"}))
			if err != nil || text(res) != "hello" {
				t.Errorf("afterwards: %v, %v", res, err)
			}
		})
	}
	t.Run("recurse", func(t *testing.T) {
		ends := []sandgatev1.Status{sandgatev1.Status_STATUS_ERROR, sandgatev1.Status_STATUS_MEMORY, sandgatev1.Status_STATUS_TIMEOUT} // whichever wall is met first
		res, err := made.call(t.Context(), shelfOfFiles{}, structOf(t, map[string]any{"do": "recurse"}))
		if err != nil || !slices.Contains(ends, res.GetStatus()) {
			t.Errorf("%v, %v", res, err)
		}
	})
}

// TestFiles are given where they are allowed, and come back from below /out.
func TestFiles(t *testing.T) {
	made := newHostileTool(t)
	files := shelfOfFiles{"/home/user/a.txt": "one", "/home/user/sub/x/b": "two"}
	res, err := made.call(t.Context(), files, structOf(t, map[string]any{"do": "read", "paths": []any{"a.txt", "/home/user/sub/./x/b", "a.txt"}}))
	if err != nil || text(res) != "/home/user/a.txt one\n/home/user/sub/x/b two\n/home/user/a.txt one\n" {
		t.Errorf("%v, %v", res, err)
	}
	res, err = made.call(t.Context(), files, structOf(t, map[string]any{"do": "work", "paths": []any{"a.txt"}}))
	if err != nil {
		t.Fatal(err)
	}
	want := "/ true\n/home true\n/home/user true\n/home/user/a.txt false\n/out true\n/out/a true\n/out/a/b.txt false\n[written: /home/user/a/b.txt]"
	if text(res) != want || files["/home/user/a/b.txt"] != "one mo" {
		t.Errorf("%s, %q", text(res), files["/home/user/a/b.txt"])
	}
	if written := res.GetResult().AsMap()["written"]; len(res.GetResult().GetFields()["written"].GetListValue().GetValues()) != 1 {
		t.Errorf("written: %v", written)
	}
	if r := res.GetReceipt(); r.GetWall().AsDuration() <= 0 || r.GetBytesIn() == 0 || r.GetBytesOut() == 0 {
		t.Errorf("receipt: %v", r)
	}
}

// TestRefusedArguments never get as far as the program.
func TestRefusedArguments(t *testing.T) {
	made := newHostileTool(t)
	many := make([]any, maxFiles+1)
	for i := range many {
		many[i] = "sub/" + strings.Repeat("x", i+1)
	}
	for name, test := range map[string]struct {
		arguments map[string]any
		code      connect.Code
		want      string
	}{
		"another type":      {map[string]any{"do": 1.0}, connect.CodeInvalidArgument, "do"},
		"an unknown name":   {map[string]any{"what": "x"}, connect.CodeInvalidArgument, "what"},
		"no text":           {map[string]any{"paths": []any{1.0}}, connect.CodeInvalidArgument, "paths"},
		"another file":      {map[string]any{"paths": []any{"a.key"}}, connect.CodeInvalidArgument, "may be given"},
		"a hidden file":     {map[string]any{"paths": []any{".x.txt"}}, connect.CodeInvalidArgument, "may be given"},
		"out of the home":   {map[string]any{"paths": []any{"../other/a.txt"}}, connect.CodeInvalidArgument, "may be given"},
		"out by the middle": {map[string]any{"paths": []any{"sub/../../x.txt"}}, connect.CodeInvalidArgument, "may be given"},
		"the root's":        {map[string]any{"paths": []any{"/etc/passwd"}}, connect.CodeInvalidArgument, "may be given"},
		"the home":          {map[string]any{"paths": []any{"/home/user"}}, connect.CodeInvalidArgument, "may be given"},
		"nothing":           {map[string]any{"paths": []any{""}}, connect.CodeInvalidArgument, "may be given"},
		"a NUL":             {map[string]any{"paths": []any{"a\x00.txt"}}, connect.CodeInvalidArgument, "may be given"},
		"too many":          {map[string]any{"paths": many}, connect.CodeInvalidArgument, "at most 64"},
		"not there":         {map[string]any{"paths": []any{"b.txt"}}, connect.CodeNotFound, "there is no"},
		"too large":         {map[string]any{"paths": []any{"large.txt"}}, connect.CodeFailedPrecondition, "no more"},
	} {
		files := shelfOfFiles{"/home/user/large.txt": strings.Repeat("x", maxFetched+1)}
		if _, err := made.call(t.Context(), files, structOf(t, test.arguments)); connect.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCallerLeaves stops the program.
func TestCallerLeaves(t *testing.T) {
	made := newHostileTool(t)
	made.manifest.Limits.TimeMs = time.Hour.Milliseconds()
	ctx, leave := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, leave)
	if _, err := made.call(ctx, shelfOfFiles{}, structOf(t, map[string]any{"do": "loop"})); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
