package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const entry = `{
  "runtimes": {
    "runsc": {
      "path": "/bin/runsc",
      "runtimeArgs": [
        "--platform=systrap"
      ]
    }
  }
}
`

func TestMerge(t *testing.T) {
	t.Parallel()
	want := runtime{path: "/bin/runsc", args: []string{"--platform=systrap"}}
	for _, tt := range []struct {
		name, have, want string
		changed          bool
		wantErr          string
	}{
		{name: "no file", have: "", want: entry, changed: true},
		{name: "blank file", have: " \n", want: entry, changed: true},
		{name: "null", have: "null", want: entry, changed: true},
		{name: "already there", have: entry, want: entry},
		{
			name: "there in another layout, so not rewritten",
			have: `{"runtimes":{"runsc":{"runtimeArgs":["--platform=systrap"],"path":"/bin/runsc"}}}`,
			want: `{"runtimes":{"runsc":{"runtimeArgs":["--platform=systrap"],"path":"/bin/runsc"}}}`,
		},
		{
			name: "other settings and runtimes stay, numbers to the digit",
			have: `{"max-concurrent-downloads":12345678901234567890,"runtimes":{"kata":{"path":"/k"}}}`,
			want: `{
  "max-concurrent-downloads": 12345678901234567890,
  "runtimes": {
    "kata": {
      "path": "/k"
    },
    "runsc": {
      "path": "/bin/runsc",
      "runtimeArgs": [
        "--platform=systrap"
      ]
    }
  }
}
`, changed: true,
		},
		{
			name: "the operator's value of an argument stays",
			have: `{"runtimes":{"runsc":{"path":"/old","runtimeArgs":["--platform=kvm"],"options":{"a":1}}}}`,
			want: `{
  "runtimes": {
    "runsc": {
      "options": {
        "a": 1
      },
      "path": "/bin/runsc",
      "runtimeArgs": [
        "--platform=kvm"
      ]
    }
  }
}
`, changed: true,
		},
		{name: "not JSON", have: "{", wantErr: "not a JSON object"},
		{name: "not an object", have: "[]", wantErr: "not a JSON object"},
		{name: "runtimes of another type", have: `{"runtimes":[]}`, wantErr: "runtimes: "},
		{name: "path of another type", have: `{"runtimes":{"runsc":{"path":1}}}`, wantErr: "path: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, changed, err := merge([]byte(tt.have), "runsc", want)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want || changed != tt.changed {
				t.Errorf("changed %v, got:\n%s\nwant changed %v:\n%s", changed, got, tt.changed, tt.want)
			}
		})
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "daemon.json")
	link := filepath.Join(dir, "link.json")
	if err := os.WriteFile(file, []byte(`{"debug":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	args := []string{"-file", link, "-runtime", "runsc", "-path", "/bin/runsc", "-arg", "--platform=systrap"}
	for _, want := range []string{"changed", "unchanged"} {
		var out strings.Builder
		if err := run(args, &out); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(out.String(), " "+want+"\n") {
			t.Errorf("said %q, want %q", out.String(), want)
		}
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	info, err = os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode changed: %v, %v", info, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRunLeavesABrokenFileAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(file, []byte(`{"debug":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-file", file, "-runtime", "r", "-path", "/p"}, io.Discard); err == nil {
		t.Error("no error for a broken file")
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != `{"debug":` {
		t.Errorf("the file is now %q, %v", got, err)
	}
	if err := run([]string{"-file", file}, io.Discard); err == nil {
		t.Error("no error without -runtime and -path")
	}
}
