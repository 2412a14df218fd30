package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// errLeft ends a cell that the caller left with Ctrl-C.
var errLeft = errors.New("left while the code was still running")

// slowToEnd is how long interrupted code may go on before we tell what happens next. The sandbox
// kills its Python two seconds after the interrupt.
const slowToEnd = time.Second

// terminable is interruptible for commands that take Ctrl-C themselves.
func terminable(do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		err := do(ctx, args)
		if err != nil && ctx.Err() != nil {
			return exitError{code: exitInterrupted}
		}
		return err
	}
}

// catchInterrupts keeps Ctrl-C from ending the process until its result is called.
func catchInterrupts() (release func()) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	return func() { signal.Stop(interrupts) }
}

// interruptWatch turns Ctrl-C into calls of Interrupt while a cell runs.
type interruptWatch struct {
	signals chan os.Signal
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// watchInterrupts starts watching. The first Ctrl-C interrupts the code and the second leaves; at a
// prompt, where the state is worth a wait, the second asks again and the third leaves.
func (r *cellRunner) watchInterrupts(ctx context.Context, leave context.CancelCauseFunc) *interruptWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &interruptWatch{signals: make(chan os.Signal, 3), cancel: cancel}
	signal.Notify(w.signals, os.Interrupt)
	last, next := 2, "leaves without waiting for that"
	if r.interactive {
		last, next = 3, "asks again, and a third one leaves"
	}
	w.done.Go(func() {
		var slow <-chan time.Time
		for count := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-slow:
				r.app.notef("the code has not ended; its Python is killed 2s after Ctrl-C. A second Ctrl-C %s", next)
				continue
			case <-w.signals:
			}
			if count++; count == last {
				leave(errLeft)
				return
			}
			if count == 1 {
				slow = time.After(slowToEnd)
			}
			w.done.Go(func() {
				// A failure shows in the call itself, and the last Ctrl-C still leaves.
				_, _ = r.client.python.Interrupt(ctx, &sandgatev1.InterruptRequest{SessionId: r.session, ContextId: r.context})
			})
		}
	})
	return w
}

// Close stops watching and waits for a call of Interrupt under way, which it cancels.
func (w *interruptWatch) Close() {
	signal.Stop(w.signals)
	w.cancel()
	w.done.Wait()
}
