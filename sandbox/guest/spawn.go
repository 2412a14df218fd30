package guest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

// command is a program to be started as the user.
type command struct {
	path     string
	args     []string // without the program's own name
	cwd      string
	env      map[string]string
	files    [3]*os.File // stdin, stdout, stderr
	terminal bool        // files are a terminal that becomes the controlling one
}

// child is a started program.
type child struct {
	pid    int
	marker marker
	ended  <-chan exit
}

// spawn starts a program in a session of its own, under a marker of its own.
func (g *Guest) spawn(ctx context.Context, c command) (child, error) {
	argv := append([]string{c.path}, c.args...)
	if err := checkTexts(c.env, argv...); err != nil {
		return child{}, err
	}
	cwd, err := g.directory(ctx, c.cwd)
	if err != nil {
		return child{}, err
	}
	path, err := g.lookPath(ctx, c.path, cwd, c.env["PATH"])
	if err != nil {
		return child{}, err
	}
	mark := g.markers.take()
	attr := &syscall.ProcAttr{
		Dir:   cwd,
		Env:   g.cfg.environ(c.env),
		Files: []uintptr{c.files[0].Fd(), c.files[1].Fd(), c.files[2].Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: c.terminal, Credential: g.credential(mark)},
	}
	guarded := g.guard()
	pid, ended, err := g.reaper.start(path, argv, attr)
	guarded()
	if err != nil {
		g.markers.release(mark)
		return child{}, startError(c.path, err)
	}
	return child{pid, mark, ended}, nil
}

// checkTexts refuses what the system cannot take: a variable whose name is empty or holds a "=", and a
// NUL byte anywhere.
func checkTexts(env map[string]string, texts ...string) error {
	for name, value := range env {
		if name == "" || strings.Contains(name, "=") {
			return fail(connect.CodeInvalidArgument, "BAD_ENVIRONMENT", "use a name of letters, digits and _",
				"no variable can be named %q", name)
		}
		texts = append(texts, name, value)
	}
	for _, text := range texts {
		if strings.ContainsRune(text, 0) {
			return fail(connect.CodeInvalidArgument, "NUL_BYTE", "leave the NUL byte out",
				"commands, arguments and variables hold no NUL byte")
		}
	}
	return nil
}

// guard has the zygote watch over a start. Between taking the user's id and becoming the program, a
// new process shares the guest's memory and holds up the thread that made it, and the user's other
// processes may stop it: then nothing in the guest goes on. The zygote sees that the guard is not
// taken back, and kills every process of the user's. Call what it returns after the start.
func (g *Guest) guard() (done func()) {
	z, err := g.someZygote()
	if err != nil {
		return func() {} // no Python, and then nothing that could be warned
	}
	z.tell("guard")
	return func() { z.tell("unguard") }
}

// credential returns the user's ids with a marker among its groups.
func (g *Guest) credential(mark marker) *syscall.Credential {
	if g.cfg.UID == 0 {
		return nil
	}
	id := uint32(g.cfg.UID)
	return &syscall.Credential{Uid: id, Gid: id, Groups: []uint32{uint32(mark)}}
}

// startError turns the failure of a start into what a caller can act on.
func startError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM):
		return fail(connect.CodeResourceExhausted, "PROCESS_LIMIT",
			"end some of the session's processes, or create a session with greater limits",
			"cannot start %q: the sandbox has too many processes or no memory left", name)
	case errors.Is(err, unix.E2BIG):
		return fail(connect.CodeInvalidArgument, "ARGUMENTS_TOO_LONG", "write the data to a file instead",
			"cannot start %q: arguments and environment are too long", name)
	case errors.Is(err, unix.ENOEXEC):
		return fail(connect.CodeInvalidArgument, "NOT_EXECUTABLE", "name its interpreter, or give it a #! line",
			"cannot start %q: not a program", name)
	}
	return fail(connect.CodeInvalidArgument, "CANNOT_START", "check the program, its permissions and the working directory",
		"cannot start %q: %v", name, errnoText(err))
}

// directory resolves a working directory and checks that the user can enter it.
func (g *Guest) directory(ctx context.Context, path string) (string, error) {
	path = g.absolute(path)
	err := g.user.do(ctx, func() error {
		g.home.unlock() // where a program expects to work, wherever it starts
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() {
			err = unix.ENOTDIR
		}
		if err == nil {
			err = executable(path)
		}
		return err
	})
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fail(connect.CodeInvalidArgument, "BAD_WORKING_DIRECTORY", "give an existing directory",
			"working directory %q: %v", path, errnoText(err))
	}
	return path, nil
}

// lookPath finds a program as execvp(3) does.
func (g *Guest) lookPath(ctx context.Context, name, cwd, search string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(cwd, name)
		}
		return name, nil
	}
	if search == "" {
		search = g.pathVariable()
	}
	var found string
	err := g.user.do(ctx, func() error {
		for dir := range strings.SplitSeq(search, ":") {
			candidate := filepath.Join(dir, name)
			info, err := os.Stat(candidate)
			if err == nil && !info.IsDir() && executable(candidate) == nil {
				found = candidate
				return nil
			}
		}
		return fs.ErrNotExist
	})
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fail(connect.CodeInvalidArgument, "NO_SUCH_PROGRAM", "check the name, or give a full path",
			"no program %q on the sandbox's PATH", name)
	}
	return found, nil
}

func (g *Guest) pathVariable() string {
	for _, entry := range g.cfg.Env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			return value
		}
	}
	return "/usr/local/bin:/usr/bin:/bin"
}

// executable reports whether the effective user may execute a file or enter a directory.
func executable(path string) error {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
}
