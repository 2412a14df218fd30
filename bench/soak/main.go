// Command soak makes many calls of every kind with the keys of several tenants, and sees whether what
// the gateway holds stays flat: memory, descriptors, goroutines, containers and disk. It looks while
// nothing runs, at the beginning and after parts of the calls, prints a table, and says what is not
// flat. The exit status is 1 where something is not, or a call failed.
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

// pool is how many sandboxes are kept warm.
const pool = 2

const startTimeout = time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// options are the command's flags.
type options struct {
	calls    int
	tenants  int
	clients  int // of each tenant
	runtime  string
	image    string
	sandgate string // empty: built from this tree
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	set := flag.NewFlagSet("soak", flag.ContinueOnError)
	var o options
	set.IntVar(&o.calls, "calls", 20_000, "how many calls are made")
	set.IntVar(&o.tenants, "tenants", 3, "how many tenants make them")
	set.IntVar(&o.clients, "clients", 3, "how many clients of each tenant, each with a session")
	set.StringVar(&o.runtime, "runtime", "runc", "runtime of the sandboxes: runc or runsc")
	set.StringVar(&o.image, "image", "sandgate/sandbox:latest", "sandbox image")
	set.StringVar(&o.sandgate, "sandgate", "", "program to try; built from this tree if empty")
	if err := set.Parse(args); err != nil {
		return err
	}
	if o.sandgate == "" {
		dir, err := os.MkdirTemp("", "sandgate-soak-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		o.sandgate = filepath.Join(dir, "sandgate")
		if err := rig.Build(ctx, o.sandgate, ""); err != nil {
			return err
		}
	}
	gateway, err := rig.New(ctx, rig.Options{
		Binary: o.sandgate, Runtime: o.runtime, Image: o.image, Pool: pool, Args: []string{"--max-creating", "2", "--log-level", "warn"},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Close(ctx)) }()
	return soak(ctx, gateway, o, out)
}

// soak makes the calls and judges what it saw.
func soak(ctx context.Context, gateway *rig.Gateway, o options, out io.Writer) error {
	var all []*agent
	for i := range o.tenants {
		tenant := fmt.Sprintf("tenant-%d", i)
		key, err := gateway.NewKey("", tenant)
		if err != nil {
			return err
		}
		for range o.clients {
			client := gateway.Client(tenant, key)
			defer client.Close()
			all = append(all, &agent{client: client})
		}
	}
	if err := gateway.Start(""); err != nil {
		return err
	}
	if _, err := gateway.Ready(ctx, startTimeout); err != nil {
		return err
	}
	samples, err := inParts(ctx, gateway, all, o.calls)
	if err != nil {
		return err
	}
	printTable(out, samples)
	made, failed := count(all)
	_, _ = fmt.Fprintf(out, "%d calls, %d failed, %d sessions made\n", made, failed, sessions(all))
	verdict := judge(samples)
	if verdict == nil {
		_, _ = fmt.Fprintln(out, "Flat: "+criterion)
	}
	for _, one := range all {
		if one.firstErr != nil {
			verdict = errors.Join(verdict, fmt.Errorf("%d calls failed, one of them with: %w", failed, one.firstErr))
			break
		}
	}
	return verdict
}
