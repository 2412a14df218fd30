package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// A call returns the first inlineOutput bytes of a stream. The sandbox keeps the whole, up to a bound
// of its own, in a file of the session, which goes with a temporary one: so the rest is fetched before.

// outputRest is where the rest of a call's output is, and where it goes.
type outputRest struct {
	app     *app
	client  *client
	session string
}

// show writes what a call did not return of its two streams. It says what is missing all the same, and
// then reports that not all is there. Its error is one of writing, or that ctx ended.
func (r *outputRest) show(ctx context.Context, stdout, stderr *sandgatev1.StreamSummary) (whole bool, err error) {
	whole = true
	for _, stream := range []struct {
		name    string
		to      io.Writer
		summary *sandgatev1.StreamSummary
	}{{"output", r.app.out, stdout}, {"error output", r.app.err, stderr}} {
		dropped := stream.summary.GetDroppedBytes()
		if dropped <= 0 {
			continue
		}
		from := stream.summary.GetTotalBytes() - dropped
		written, err := r.fetch(ctx, stream.to, stream.summary, from)
		if _, refused := asWire(err); err != nil && (!refused || ctx.Err() != nil) {
			return false, err
		}
		if written >= dropped {
			continue
		}
		whole = false
		reason := fmt.Sprintf("the session kept the first %d bytes", stream.summary.GetFileBytes())
		if err != nil {
			message, _ := explain(err)
			reason = fmt.Sprintf("%s of the session could not be read: %s", stream.summary.GetFile(), message)
		}
		r.app.notef("%d bytes of %s are missing after the first %d: %s", dropped-written, stream.name, from+written, reason)
	}
	return whole, nil
}

// fetch copies what the file of a stream holds from an offset on, and returns how much that was.
func (r *outputRest) fetch(ctx context.Context, to io.Writer, summary *sandgatev1.StreamSummary, from int64) (int64, error) {
	length := min(summary.GetFileBytes(), summary.GetTotalBytes()) - from
	if summary.GetFile() == "" || length <= 0 {
		return 0, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.client.files.Download(ctx, &sandgatev1.DownloadRequest{
		SessionId: r.session, Path: summary.GetFile(), Offset: from, Length: length,
	})
	if err != nil {
		return 0, err
	}
	defer func() { _ = stream.Close() }() // everything that matters was received
	written := int64(0)
	for written < length && stream.Receive() {
		data := stream.Msg().GetData()
		n, err := to.Write(data[:min(int64(len(data)), length-written)])
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, stream.Err()
}

// asWire is an error as one of a call, if it is one.
func asWire(err error) (*connect.Error, bool) { return errors.AsType[*connect.Error](err) }

// codeOfWhole is the exit code of a program, unless it succeeded and not all of its output is here.
func codeOfWhole(code int, whole bool) int {
	if code == 0 && !whole {
		return exitNotRun
	}
	return code
}
