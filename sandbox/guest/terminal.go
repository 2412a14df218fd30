package guest

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// openTerminal makes a pseudo-terminal (pty(7)) owned by the user, and returns a descriptor of the
// guest's side and the program's side. The guest's side is read through a duplicate, so that
// reading and writing can end apart.
func (g *Guest) openTerminal(ctx context.Context, size *sandgatev1.TerminalSize) (master, slave *os.File, err error) {
	err = g.user.do(ctx, func() error {
		fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open a terminal: %w", err)
		}
		master = os.NewFile(uintptr(fd), "terminal")
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return fmt.Errorf("unlock a terminal: %w", err)
		}
		number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
		if err != nil {
			return fmt.Errorf("name a terminal: %w", err)
		}
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
		return err
	})
	if err == nil {
		err = resize(master, size)
	}
	if err != nil {
		closeAll(master, slave)
		return nil, nil, err
	}
	return master, slave, nil
}

func resize(master *os.File, size *sandgatev1.TerminalSize) error {
	cols, rows := size.GetCols(), size.GetRows()
	if cols == 0 {
		cols = 80
	}
	if rows == 0 {
		rows = 24
	}
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(cols), Row: uint16(rows)})
	})
	if err != nil {
		return err
	}
	return setErr
}
