// Command sandgate is Sandgate: the gateway that runs untrusted Python, commands and file work for
// AI agents, and the client to try it by hand. This is the only place where the project's packages
// are joined; each of them can be used without the others.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A reader that went away (`sandgate py … | head`) must be an error from a write, not the death
	// of the process: temporary sessions still have to be deleted.
	signal.Ignore(syscall.SIGPIPE)
	streams := stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	os.Exit(run(context.Background(), os.Args[1:], streams, os.Environ()))
}
