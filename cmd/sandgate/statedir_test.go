package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestStateDirKeepsItsNameAndItsLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "state")
	first, err := openStateDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info, err)
	}
	if _, err := openStateDir(path); err == nil {
		t.Error("a second gateway got the same folder")
	} else if hinted := new(hintError); !errors.As(err, hinted) {
		t.Errorf("nobody says what to do: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := openStateDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	if second.deployment != first.deployment || len(first.deployment) != 2*deploymentBytes {
		t.Errorf("the deployment was called %q and is called %q", first.deployment, second.deployment)
	}
}

func TestStateDirRefusesAForeignName(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"empty": "", "short": "abcd", "no hex": "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			if err := os.WriteFile(filepath.Join(path, deploymentFile), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if dir, err := openStateDir(path); err == nil {
				t.Errorf("took %q for a name", dir.deployment)
			}
			// The lock was given back.
			if err := os.Remove(filepath.Join(path, deploymentFile)); err != nil {
				t.Fatal(err)
			}
			dir, err := openStateDir(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := dir.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
