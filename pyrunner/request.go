package pyrunner

import (
	"context"
	"io"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// unary makes one call that has one reply to the guest of a session.
func unary[Req guestrpc.Request, Res any](
	ctx context.Context, sandboxes guestrpc.Sandboxes, req Req, do func(context.Context, Req) (Res, error),
) (Res, error) {
	return guestrpc.Unary(ctx, sandboxes, req, do, tooLarge)
}

// contextName returns the name of the context that a request means.
func contextName(id string) string {
	if id == "" {
		return "default"
	}
	return id
}

// timeoutOr returns the duration of a request, or the default where it says nothing.
func timeoutOr(asked *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d := asked.AsDuration(); d > 0 {
		return d
	}
	return otherwise
}

// envBytes returns the size of environment variables.
func envBytes(env map[string]string) int64 {
	var size int64
	for name, value := range env {
		size += int64(len(name) + len(value))
	}
	return size
}

// closeStream closes a stream whose end nobody needs to know: its last event was seen, or its call
// has failed for a reason that is known.
func closeStream(stream io.Closer) { _ = stream.Close() }
