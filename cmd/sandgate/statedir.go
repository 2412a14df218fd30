package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The files of a state folder.
const (
	lockFile       = "lock"
	deploymentFile = "deployment"
	databaseFile   = "sandgate.db"
)

// stateDirNames are the names by which a state folder is given.
const stateDirNames = "--state-dir or SANDGATE_STATE_DIR"

// deploymentBytes is the length of a deployment's name before it is written in hex.
const deploymentBytes = 16

// stateDir is a gateway's own folder, locked against other gateways.
type stateDir struct {
	path       string
	deployment string // names the gateway's containers; never changes
	lock       *os.File
}

// openStateDir makes the folder where there is none, and locks it. Two gateways with one database
// would each take the other's sandboxes for left-overs.
func openStateDir(path string) (*stateDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the state folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = fmt.Errorf("lock the state folder %s: %w", path, err)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = hintError{
				err:  fmt.Errorf("another gateway uses the state folder %s", path),
				hint: "stop it, or give this one another folder with --state-dir",
			}
		}
		return nil, errors.Join(err, lock.Close())
	}
	dir := &stateDir{path: path, lock: lock}
	if dir.deployment, err = loadDeployment(filepath.Join(path, deploymentFile)); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return dir, nil
}

// Close lets another gateway in. The kernel does so too when the process dies.
func (d *stateDir) Close() error { return d.lock.Close() }

// loadDeployment reads the deployment's name, or makes one up. The caller holds the lock.
func loadDeployment(file string) (string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newDeployment(file)
	}
	if err != nil {
		return "", fmt.Errorf("read the deployment's name: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	raw, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return "", fmt.Errorf("read the deployment's name: %w", err)
	}
	name := strings.TrimSpace(string(raw))
	if decoded, err := hex.DecodeString(name); err != nil || len(decoded) != deploymentBytes {
		return "", hintError{
			err:  fmt.Errorf("%s does not hold a deployment's name", file),
			hint: "remove it if no sandbox of this gateway is running; a new one is made then",
		}
	}
	return name, nil
}

// newDeployment writes a new name, at once or not at all.
func newDeployment(file string) (string, error) {
	raw := make([]byte, deploymentBytes)
	_, _ = rand.Read(raw) // never fails
	name := hex.EncodeToString(raw)
	partial := file + ".new"
	if err := os.WriteFile(partial, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the deployment's name: %w", err)
	}
	if err := os.Rename(partial, file); err != nil {
		return "", fmt.Errorf("write the deployment's name: %w", err)
	}
	return name, nil
}
