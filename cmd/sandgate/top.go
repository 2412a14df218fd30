package main

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// topFlags are the flags of `sandgate top`.
type topFlags struct {
	interval     string
	once, asJSON bool
	every        time.Duration
}

// topCommand is `sandgate top`.
func (a *app) topCommand() *cobra.Command {
	var flags topFlags
	cmd := &cobra.Command{
		Use:     "top",
		Short:   "Watch what a gateway does, as its operator",
		GroupID: groupUse,
		Args:    noArguments,
		Long: `Shows the gateway, its tenants, its most active sessions and the calls that run, again and
again until q or Ctrl-C. Where stdout is no terminal it prints this once. CALLS counts
those that worked in a session since the gateway began; errors are those of RPCs, not of
code that ran and failed.

It shows all tenants, so that it needs a key that names the scope "operator":

  export SANDGATE_KEY=$(sandgate key create --tenant ops --scopes operator)

On a gateway without keys everybody may.`,
		Example: `  sandgate top
  sandgate top --once
  sandgate top --json | jq -c .rates`,
		RunE: interruptible(func(ctx context.Context, _ []string) (err error) {
			flags.every, err = config.ParseSpan(flags.interval)
			if err != nil || flags.every < 200*time.Millisecond || flags.every > time.Minute {
				return usagef("--interval %q is no length of time from 200ms to 1m", flags.interval)
			}
			return a.top(ctx, &flags)
		}),
	}
	cmd.Flags().StringVar(&flags.interval, "interval", "2s", "time between two pictures, from 200ms to 1m; rates are over this")
	cmd.Flags().BoolVar(&flags.once, "once", false, "print it once, after one interval, and end")
	cmd.Flags().BoolVar(&flags.asJSON, "json", false, "print a line of JSON for each interval")
	return cmd
}

// top watches the gateway in the form that the flags and the terminal allow.
func (a *app) top(ctx context.Context, flags *topFlags) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	server, err := serverURL(a.server, a.env)
	if err != nil {
		return err
	}
	w := &overviewWatch{client: c, every: flags.every}
	fd, isTerminal := terminalFD(a.out)
	switch {
	case flags.asJSON:
		return w.stream(ctx, func(o *sandgatev1.Overview) (bool, error) {
			rated := o.GetRates() != nil || o.GetDraining()
			if flags.once && !rated {
				return true, nil
			}
			return !flags.once, a.printJSONLine(o)
		})
	case flags.once, !isTerminal, a.env.Get("TERM") == "dumb":
		return w.stream(ctx, func(o *sandgatev1.Overview) (bool, error) {
			if o.GetRates() == nil && !o.GetDraining() {
				return true, nil // the next has more to tell
			}
			return false, topView{server: server, overview: o}.print(a.out)
		})
	default:
		return a.topLive(ctx, fd, w, topView{server: server})
	}
}

// overviewWatch asks a gateway how it is.
type overviewWatch struct {
	client *client
	every  time.Duration
}

// stream gives do each overview until it wants no more, or the gateway ends.
func (w *overviewWatch) stream(ctx context.Context, do func(*sandgatev1.Overview) (more bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.client.operator.WatchOverview(ctx, &sandgatev1.WatchOverviewRequest{Interval: durationpb.New(w.every)})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // everything that matters was received
	for stream.Receive() {
		if more, err := do(stream.Msg().GetOverview()); err != nil || !more {
			return err
		}
	}
	return stream.Err()
}

// update is an overview, or why there is none.
type update struct {
	overview *sandgatev1.Overview
	err      error
}

// run watches until ctx ends, over ends of the gateway. It closes the channel after an error that will
// not go away: any before the first overview, and refusals.
func (w *overviewWatch) run(ctx context.Context, updates chan<- update) {
	defer close(updates)
	tell := func(u update) bool {
		select {
		case updates <- u:
			return true
		case <-ctx.Done():
			return false
		}
	}
	seen := false
	for {
		err := w.stream(ctx, func(o *sandgatev1.Overview) (bool, error) {
			seen = true
			return tell(update{overview: o}), nil
		})
		if err == nil {
			err = errors.New("the gateway is ending")
		}
		if !tell(update{err: err}) || !seen || !comesBack(err) {
			return
		}
		select {
		case <-time.After(w.every):
		case <-ctx.Done():
			return
		}
	}
}

// comesBack reports whether it makes sense to ask again after an error.
func comesBack(err error) bool {
	return !connect.IsWireError(err) || connect.CodeOf(err) == connect.CodeUnavailable || connect.CodeOf(err) == connect.CodeCanceled
}
