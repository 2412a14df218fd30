package store_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sandgate/sandgate/gateway/store"
)

// otherProcess names, to the test binary, a database to look at and nothing else.
const otherProcess = "SANDGATE_TEST_LOOK_AT_STORE"

// Where SQLite keeps the lock that every connection of a write-ahead log holds.
const (
	sharedFirst = 0x40000002
	sharedSize  = 510
)

// seesLock returns an error unless another process has the database open, as SQLite can tell.
func seesLock(source string) (err error) {
	file, err := os.OpenFile(source, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	asked := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: sharedFirst, Len: sharedSize}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &asked); err != nil {
		return err
	}
	if asked.Type == syscall.F_UNLCK {
		return errors.New("nobody seems to have the database open")
	}
	return nil
}

// A tool that opens the gateway's database sees that it is not alone. Else it would fold in and remove the log
// when it is done, and what the gateway writes from then on would be gone with the gateway.
func TestOtherProcessSeesTheLock(t *testing.T) {
	source := filepath.Join(t.TempDir(), "state.db")
	db := open(t, source, "a")
	do(t, db.Put(t.Context(), store.Session{ID: "s", Spec: []byte("{}")}))
	self, err := os.Executable()
	do(t, err)
	other := exec.CommandContext(t.Context(), self)
	other.Env = append(os.Environ(), otherProcess+"="+source)
	if out, err := other.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
