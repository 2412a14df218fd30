package guest

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// A user is whoever the sandbox's code runs as.
type user struct {
	id    int           // uid and gid; zero means the guest's own
	slots chan struct{} // one element for each thread that is the user now
}

// maxThreads bounds the threads that work as the user. Each is a thread of its own to the system, of
// which the user's processes leave the guest only so many.
const maxThreads = 16

// do runs fn with the file permissions of the user. It drops the effective ids of one thread, and
// only of that: the real and saved ids stay, so that the user's processes still cannot signal the
// guest. What fn opens may be used afterwards. The end of ctx ends the waiting for a thread, not fn.
func (u user) do(ctx context.Context, fn func() error) error {
	if u.id == 0 {
		return fn()
	}
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	runtime.LockOSThread()
	if err := u.become(); err != nil {
		return err // the thread stays locked, and ends with its goroutine
	}
	err := fn()
	if backErr := comeBack(); backErr != nil {
		return backErr // as above
	}
	runtime.UnlockOSThread()
	return err
}

const keep = ^uintptr(0) // -1: leave this id

func (u user) become() error {
	id := uintptr(u.id)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, keep, id, keep); errno != 0 {
		return fmt.Errorf("take the user's group: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, id, keep); errno != 0 {
		return fmt.Errorf("take the user's id: %w", errno)
	}
	return nil
}

func comeBack() error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, 0, keep); errno != 0 {
		return fmt.Errorf("give the user's id back: %w", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, keep, 0, keep); errno != 0 {
		return fmt.Errorf("give the user's group back: %w", errno)
	}
	return nil
}
