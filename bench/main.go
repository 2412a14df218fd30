// Command bench measures Sandgate against its budgets. It starts a gateway of its own, speaks to it
// as any client does, measures beside it what the machine and the engine cost without Sandgate (the
// floor), prints a row for each budget and writes them all to a file.
//
// A budget that is not met is a finding, not a failure: the exit status is 1 only where a row could
// not be measured. Nothing that it made is left when it ends, by Ctrl-C either.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Exit statuses, the same as the sandgate command's.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// errUsage means that the flags make no sense.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case interrupted:
		fmt.Fprintln(os.Stderr, "bench: interrupted; what it had started is gone")
		os.Exit(exitInterrupted)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(exitFailed)
	}
}

// options are the command's flags.
type options struct {
	runtimes []string
	rows     []string // ids; empty: all
	quick    bool
	cpu      bool
	image    string
	sandgate string // empty: built from this tree
	out      string
}

func parseFlags(args []string) (options, error) {
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	runtimes := set.String("runtime", "runc,runsc", "runtimes to measure, comma-separated")
	rows := set.String("rows", "", "ids of the rows to measure, comma-separated; all if empty")
	var o options
	set.BoolVar(&o.quick, "quick", false, "fewer samples: a first look in a few minutes")
	set.BoolVar(&o.cpu, "cpu", false, "also show, below B1 and B2, the time inside the guest and each program's processor time per call")
	set.StringVar(&o.image, "image", "sandgate/sandbox:latest", "sandbox image")
	set.StringVar(&o.sandgate, "sandgate", "", "binary to measure, to compare two of them; built from this tree if empty")
	set.StringVar(&o.out, "out", filepath.Join("bench", "out.json"), "file for the results")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, errors.Join(errUsage, err)
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("%w: it takes flags only, not %q", errUsage, set.Arg(0))
	}
	o.runtimes = split(*runtimes)
	o.rows = split(strings.ToUpper(*rows))
	for _, id := range o.rows {
		if !slices.ContainsFunc(experiments(), func(x experiment) bool { return x.id == id }) {
			return o, fmt.Errorf("%w: there is no row %q", errUsage, id)
		}
	}
	for _, runtime := range o.runtimes {
		if runtime != "runc" && runtime != "runsc" {
			return o, fmt.Errorf("%w: the runtime is runc or runsc, not %q", errUsage, runtime)
		}
	}
	if len(o.runtimes) == 0 {
		return o, fmt.Errorf("%w: no runtime is named", errUsage)
	}
	return o, nil
}

// split cuts a comma-separated list, without empty parts.
func split(list string) []string {
	return slices.DeleteFunc(strings.Split(strings.ReplaceAll(list, " ", ""), ","), func(s string) bool { return s == "" })
}

// run measures what the flags ask for.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	socket, err := engineSocket(os.Getenv("DOCKER_HOST"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sandgate-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	floor := filepath.Join(dir, "floor")
	if err := build(ctx, floor, "./bench/floor"); err != nil {
		return err
	}
	binary := o.sandgate
	if binary == "" {
		binary = filepath.Join(dir, "sandgate") // anew, so that what is measured is this tree
		if err := build(ctx, binary, "./cmd/sandgate"); err != nil {
			return err
		}
	}
	e := &engine{image: o.image, owner: fmt.Sprintf("bench-%d", os.Getpid()), socket: socket, floor: floor}
	defer func() {
		_, removeErr := e.removeOwned(ctx, e.owner)
		err = errors.Join(err, removeErr)
	}()
	b := &bench{engine: e, binary: binary, scale: newScale(o.quick), cpu: o.cpu, out: out, report: newReport(out)}
	failures := b.all(ctx, o)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(failures, b.report.write(o.out))
}
