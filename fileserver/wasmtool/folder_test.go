package wasmtool

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// plain is a manifest of a tool without files.
const plain = `{"description": "Says what it is told.", "input_schema": {"type": "object", "properties": {"do": {"type": "string"}, "text": {"type": "string"}}}, "limits": {"memory_mib": 128}}`

// put writes a file of a folder, as a copy does that is not there until it is whole.
func put(t *testing.T, folder, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func hostileText(t *testing.T) string {
	t.Helper()
	module, err := hostile()
	if err != nil {
		t.Fatal(err)
	}
	return string(module)
}

// open returns the tools of a folder, and their log.
func open(t *testing.T, folder string) (*Set, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	set, err := Open(t.Context(), Options{Folder: folder, CacheDir: cache(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	set.stop() // the test looks itself
	set.work.Wait()
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set, log
}

// cache keeps what is compiled, so that tests need not wait for it each time.
//
//nolint:gochecknoglobals // one for the package
var cache = sync.OnceValue(func() string {
	folder, err := os.MkdirTemp("", "wasmtool")
	if err != nil {
		return ""
	}
	return folder
})

func names(tools []*sandgatev1.Tool) string {
	var all []string
	for _, tool := range tools {
		all = append(all, tool.GetName())
	}
	return strings.Join(all, " ")
}

func (s *Set) echo(t *testing.T, ctx context.Context, name, said string) string { //nolint:revive // t comes first in tests
	t.Helper()
	res, err := s.Call(ctx, &sandgatev1.CallToolRequest{Name: name, Arguments: structOf(t, map[string]any{"do": "echo", "text": said})})
	if err != nil {
		return connect.CodeOf(err).String()
	}
	return text(res)
}

// TestBadTools are refused, each with its reason, and the good one beside them is there.
func TestBadTools(t *testing.T) {
	folder, module := t.TempDir(), hostileText(t)
	outside := filepath.Join(t.TempDir(), "outside.wasm")
	put(t, filepath.Dir(outside), "outside.wasm", module)
	put(t, folder, "good.wasm", module)
	put(t, folder, "README.md", "not of a tool")
	header := "\x00asm\x01\x00\x00\x00"
	memory := "\x05\x03\x01\x00\x01"
	put(t, folder, "good.json", plain)
	for name, content := range map[string]string{
		"text.wasm": "#!/bin/sh\n", "empty.wasm": "", "torn.wasm": module[:len(module)/2], "nostart.wasm": header + memory,
		"env.wasm":  header + "\x01\x04\x01\x60\x00\x00" + "\x02\x0a\x01\x03env\x02go\x00\x00" + memory,
		"much.wasm": module, "alone.wasm": module, "file_mine.wasm": module, "Big.wasm": module, "unknown.wasm": module, "schema.wasm": module,
	} {
		put(t, folder, name, content)
		if name != "alone.wasm" {
			put(t, folder, strings.TrimSuffix(name, ".wasm")+".json", plain)
		}
	}
	put(t, folder, "much.json", strings.Replace(plain, `"memory_mib": 128`, `"memory_mib": 1`, 1))
	put(t, folder, "unknown.json", strings.Replace(plain, `"limits"`, `"limit"`, 1))
	put(t, folder, "schema.json", strings.Replace(plain, `"object"`, `"array"`, 1))
	put(t, folder, "lonely.json", plain)
	put(t, folder, "long.json", plain+strings.Repeat(" ", maxManifest))
	put(t, folder, "link.json", plain)
	put(t, folder, "pipe.json", plain)
	put(t, folder, "large.json", plain)
	if err := os.Symlink(outside, filepath.Join(folder, "link.wasm")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "pipe.wasm"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, folder, "large.wasm", "")
	if err := os.Truncate(filepath.Join(folder, "large.wasm"), maxModule+1); err != nil {
		t.Fatal(err)
	}
	put(t, folder, "long.wasm", module)

	good, bad, err := Check(t.Context(), folder, nil)
	if err != nil || names(good) != "good" {
		t.Fatalf("%s, %v", names(good), err)
	}
	reasons := map[string]string{
		"text": "invalid magic", "empty": "invalid magic", "torn": "ends too early", "nostart": "no _start", "env": "asks for env.go",
		"much": "limits.memory_mib allows", "alone": "no manifest", "file_mine": "file_", "Big": "of the form", "unknown": `"limit"`, "schema": "object",
		"lonely": "no lonely.wasm", "link": "escapes", "pipe": "no regular file", "large": "may have", "long": "may have",
	}
	for _, problem := range bad {
		if want, ok := reasons[problem.Name]; !ok || !strings.Contains(problem.Err.Error(), want) {
			t.Errorf("%s: %v, want %q", problem.Name, problem.Err, want)
		}
		delete(reasons, problem.Name)
	}
	if len(reasons) > 0 {
		t.Errorf("not refused: %v", reasons)
	}
	set, log := open(t, folder)
	if got := set.echo(t, t.Context(), "good", "hello"); got != "hello" {
		t.Errorf("the good one says %q", got)
	}
	if !strings.Contains(log.String(), "asks for env.go") || strings.Count(log.String(), "was refused") != len(bad) {
		t.Errorf("the log says %s", log)
	}
}

// TestFolders that nobody should have.
func TestFolders(t *testing.T) {
	open, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	put(t, filepath.Dir(file), "file", "")
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	for i := range maxTools + 1 {
		put(t, full, strings.Repeat("a", i+1)+".wasm", "")
	}
	for folder, want := range map[string]string{open: "everybody may write", file: "no folder", file + "x": "no such file", full: "more than 64 tools"} {
		if _, _, err := Check(t.Context(), folder, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", folder, err, want)
		}
	}
}

// TestReload: tools come, change and go while calls run, each of which ends with the program that it began with.
func TestReload(t *testing.T) {
	folder, module := t.TempDir(), hostileText(t)
	set, _ := open(t, folder)
	look := func(want string) {
		t.Helper()
		set.look(t.Context(), false)
		if got := names(set.Tools()); got != want {
			t.Errorf("there are %q, want %q", got, want)
		}
	}
	look("")
	put(t, folder, "one.wasm", module[:1000])
	put(t, folder, "one.json", plain)
	look("") // it may be half a copy, as which it is not even looked into
	put(t, folder, "one.wasm", module)
	look("")
	look("one")
	look("one")
	if got := set.echo(t, t.Context(), "one", "hello"); got != "hello" {
		t.Errorf("it says %q", got)
	}

	first := set.tool("one")
	if !first.enter() {
		t.Fatal("it is gone")
	}
	put(t, folder, "one.json", strings.Replace(plain, "Says", "Repeats", 1))
	put(t, folder, "two.wasm", module)
	put(t, folder, "two.json", plain)
	look("one")
	look("one two")
	if got := set.Tool("one").GetDescription(); got != "Repeats what it is told." {
		t.Errorf("the new one is described as %q", got)
	}
	res, err := first.call(t.Context(), nil, structOf(t, map[string]any{"do": "echo", "text": "still"}))
	if err != nil || text(res) != "still" {
		t.Errorf("a call that had begun: %v, %v", res, err)
	}
	first.leave()
	if first.enter() {
		t.Error("what was replaced still runs")
	}
	if got := set.echo(t, t.Context(), "one", "new"); got != "new" {
		t.Errorf("it says %q", got)
	}

	put(t, folder, "two.json", "{")
	look("one two")
	look("one")
	for _, name := range []string{"one.wasm", "one.json"} {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	look("")
	if got := set.echo(t, t.Context(), "one", ""); got != "not_found" {
		t.Errorf("what is gone says %q", got)
	}
}

// TestWatch is TestReload's beginning by the set's own clock.
func TestWatch(t *testing.T) {
	folder := t.TempDir()
	set, err := Open(t.Context(), Options{Folder: folder, CacheDir: cache(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	put(t, folder, "one.wasm", hostileText(t))
	put(t, folder, "one.json", plain)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for late := time.After(2 * time.Minute); set.Tool("one") == nil; {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("it was not picked up")
		}
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if got := set.echo(t, t.Context(), "one", ""); got != connect.CodeUnavailable.String() {
		t.Errorf("after the end: %s", got)
	}
}
