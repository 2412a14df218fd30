package pyrunner

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// trailerTimeout is how long a guest has to end a stream after its last event.
	trailerTimeout = time.Second
	// closeTimeout bounds the closing of a sandbox that did not obey. Its engine's reaper does what
	// is left then.
	closeTimeout = 10 * time.Second
)

// errNoResult says that a guest ended a stream without its last event.
var errNoResult = errors.New("the stream ended without a result")

// verdict is what becomes of an event.
type verdict int

const (
	// skip: it says nothing.
	skip verdict = iota
	// pass: it goes to the caller.
	pass
	// last: it goes to the caller and is the end.
	last
)

// A relay carries the events of one call from a guest to the caller.
type relay[Event any] struct {
	call *guestrpc.Call
	// backstop may be nil.
	backstop *backstop
	// accept mends an event in place and says what becomes of it, or refuses the whole answer.
	accept func(*Event) (verdict, error)
	send   func(*Event) error
}

// run carries events until the last one and reports whether the matter is settled: then err, which
// may be nil, is for the caller. Otherwise err is how the stream failed.
func (r relay[Event]) run(stream *connect.ServerStreamForClient[Event]) (settled bool, err error) {
	for stream.Receive() {
		event := stream.Msg()
		fate, err := r.accept(event)
		if err != nil {
			r.call.Stop()
			return true, err
		}
		if fate == skip {
			continue
		}
		if err := r.backstop.during(func() error { return r.send(event) }); err != nil {
			r.call.Stop()
			return true, err
		}
		if fate == last {
			r.drain(stream)
			return true, nil
		}
	}
	if err := stream.Err(); err != nil {
		return false, err
	}
	return false, errNoResult
}

// drain takes the end of the stream, which spares guest and channel a reset. The result is out
// already, so that a guest that does not end it costs nobody anything but a moment.
func (r relay[Event]) drain(stream *connect.ServerStreamForClient[Event]) {
	r.backstop.stop()
	limit := time.AfterFunc(trailerTimeout, r.call.Stop)
	defer limit.Stop()
	stream.Receive()
}

// ending is what the caller is told about work whose end the guest did not report.
type ending struct {
	status sandgatev1.Status
	note   string
}

// endingOf returns the ending of work that was given up for reason, and whether there is one: work
// that began and whose sandbox is gone has ended, anything else is an error. A sandbox that did not
// obey is closed, as whatever it runs is out of control.
func endingOf(ctx context.Context, sb sandbox.Sandbox, reason error) (ending, bool) {
	switch {
	case errors.Is(reason, guestrpc.ErrOverdue):
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		note := "Time was up and the work could not be stopped, so its sandbox was ended: variables, files and processes " +
			"are gone. Create a new session; the code was not run again."
		if err := sb.Close(closeCtx); err != nil {
			note = "Time was up and the work could not be stopped, so its sandbox is being ended: variables, files and " +
				"processes are gone. Create a new session; the code was not run again."
		}
		return ending{sandgatev1.Status_STATUS_TIMEOUT, note}, true
	case !errors.Is(reason, guestrpc.ErrSessionLost):
		return ending{}, false
	}
	const lost = "variables, files and processes are gone. Create a new session; the code was not run again."
	switch err := sb.Err(); {
	case errors.Is(err, sandbox.ErrMemory):
		return ending{sandgatev1.Status_STATUS_MEMORY, "The sandbox ran out of memory and ended: " + lost +
			" Work on less data at a time, or ask for more memory."}, true
	case errors.Is(err, sandbox.ErrClosed):
		return ending{sandgatev1.Status_STATUS_KILLED, "The session was ended while this ran: " + lost}, true
	default:
		return ending{sandgatev1.Status_STATUS_KILLED, "The sandbox died while this ran: " + lost}, true
	}
}

// ended reports whether a sandbox has ended.
func ended(sb sandbox.Sandbox) bool {
	select {
	case <-sb.Done():
		return true
	default:
		return false
	}
}
