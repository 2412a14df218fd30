// Command guestd is the first process of every sandbox: package guest on the container's stdin and
// stdout. It is built without cgo, so that it runs in any image.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandgate/sandgate/sandbox/guest"
	"github.com/sandgate/sandgate/sandbox/guest/channel"
)

// version is set when the program is built.
var version = "devel"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guestd:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("guestd", flag.ContinueOnError)
	uid := flags.Int("uid", 0, "user and group `id` under which everything of the user's runs")
	template := flags.String("template", "python", "what kernels have imported: python or data")
	memory := flags.Int64("memory", 0, "`bytes` that the user's processes may use together")
	files := flags.Int64("files", 0, "how many files may exist in each place that can be written")
	spares := flags.Int("spares", 0, "how many Python kernels to keep in reserve")
	orphan := flags.Duration("orphan-timeout", time.Minute, "exit when nobody has held the channel for so long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *uid <= 0 {
		return errors.New("--uid is missing: nothing of the user's may run as root")
	}
	frugal()
	stdio, err := takeStdio()
	if err != nil {
		return err
	}
	if err := writeAccounts(*uid); err != nil {
		fmt.Fprintln(os.Stderr, "guestd: no account for the user:", err)
	}
	g, err := guest.New(guest.Config{
		UID:         *uid,
		Home:        "/home/user",
		Template:    *template,
		MemoryBytes: *memory,
		MaxFiles:    *files,
		Kernel:      []string{"/usr/bin/python3", "-I", "/opt/sandgate/kernel/zygote.py"},
		Spares:      *spares,
		Version:     version,
		Init:        os.Getpid() == 1,
		Env:         os.Environ(),
	})
	if err != nil {
		return err
	}
	err = channel.Serve(context.Background(), stdio, g.Handler(), channel.ServerOptions{OrphanTimeout: *orphan})
	if errors.Is(err, io.EOF) {
		err = errors.New("the channel was closed")
	}
	return err // PID 1: whatever still runs ends with it
}

// frugal keeps the daemon small, and able to work when the user's processes have used up the
// sandbox's allowance of threads: those that the runtime may need are made now.
func frugal() {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(50)
	_ = syscall.Setgroups(nil) // no group of root's while a thread works as the user
	boundSignals()
	signal.Ignore(unix.SIGXFSZ) // a write beyond the file size limit is an error, not a death
	unix.Umask(0o022)
	const threads = 10
	var all, parked sync.WaitGroup
	all.Add(threads)
	for range threads {
		parked.Go(func() {
			all.Done()
			all.Wait()
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 2e6}, nil) // blocks a thread, not a goroutine
		})
	}
	parked.Wait()
}

// maxPending bounds the signals that wait for the user's processes, which inherit it: each takes the
// kernel's memory.
const maxPending = 256

// boundSignals sets that bound. It comes behind what the runtime tells all of its threads by signals,
// since the guest is root and so counts what the host's root has pending. gVisor sets it by itself.
func boundSignals() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_SIGPENDING, &limit) == nil && limit.Max > maxPending {
		_ = unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{Cur: maxPending, Max: maxPending})
	}
}

// writeAccounts gives the user's id a name. The image's account files lead here, since the id is
// chosen when the sandbox is made.
func writeAccounts(uid int) error {
	id := strconv.Itoa(uid)
	for name, line := range map[string]string{
		"passwd": strings.Join([]string{"user", "x", id, id, "", "/home/user", "/bin/bash"}, ":"),
		"group":  strings.Join([]string{"user", "x", id, ""}, ":"),
	} {
		base, err := os.ReadFile("/opt/sandgate/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile("/run/sandgate/"+name, append(base, line+"\n"...), 0o644); err != nil { //nolint:gosec // as /etc/passwd
			return err
		}
	}
	return nil
}
