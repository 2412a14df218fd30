// Command chaos kills a real gateway again and again under load, at random moments and at every
// failpoint, restarts it each time, and checks what its clients were promised: an accepted call ends
// or is told to be lost, none runs twice, an acknowledged result stays what it was, a session lives
// with its state or is told to be lost, and no container is left that nobody wants.
//
// It prints figures and every promise that was broken. The exit status is 1 where there was one.
// Nothing that it made is left when it ends.
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
	"syscall"
	"time"

	"github.com/sandgate/sandgate/bench/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// options are the command's flags.
type options struct {
	kills    int
	seed     uint64
	runtime  string
	image    string
	sandgate string // empty: built from this tree, with failpoints
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	set := flag.NewFlagSet("chaos", flag.ContinueOnError)
	var o options
	set.IntVar(&o.kills, "kills", 1000, "how often the gateway is killed; at every failpoint, the rest at random")
	set.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what chance is drawn from")
	set.StringVar(&o.runtime, "runtime", "runc", "runtime of the sandboxes: runc or runsc")
	set.StringVar(&o.image, "image", "sandgate/sandbox:latest", "sandbox image")
	set.StringVar(&o.sandgate, "sandgate", "", "program to try, built with -tags failpoints; built from this tree if empty")
	if err := set.Parse(args); err != nil {
		return err
	}
	if o.sandgate == "" {
		dir, err := os.MkdirTemp("", "sandgate-chaos-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		o.sandgate = filepath.Join(dir, "sandgate")
		if err := rig.Build(ctx, o.sandgate, "failpoints"); err != nil {
			return err
		}
	}
	figures, err := try(ctx, o, out)
	if figures != nil {
		figures.print(out)
		err = errors.Join(err, figures.verdict())
	}
	return err
}

// try ends gateways until all plans are done. The figures are nil where nothing could be tried.
func try(ctx context.Context, o options, out io.Writer) (_ *figures, err error) {
	strangers, err := rig.NewForeigners(ctx, o.image)
	defer func() {
		for _, one := range strangers {
			err = errors.Join(err, one.Remove(ctx))
		}
	}()
	if err != nil {
		return nil, err
	}
	gateway, err := rig.New(ctx, rig.Options{
		Binary: o.sandgate, Runtime: o.runtime, Image: o.image, Pool: pool,
		Args: []string{"--max-creating", "2", "--drain-timeout", "10s", "--log-level", "warn"},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, gateway.Close(ctx)) }()
	t := newTrial(ctx, gateway, o, out)
	defer t.close()
	if err := t.keys(); err != nil {
		return nil, err
	}
	err = t.all(ctx)
	t.figures.count(func(f *figures) { f.sessions = t.ledger.made })
	if err != nil {
		return t.figures, err
	}
	for _, one := range strangers {
		if err := one.Untouched(ctx); err != nil {
			t.figures.broken("%v", err)
		}
	}
	return t.figures, nil
}
