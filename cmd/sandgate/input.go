package main

import (
	"context"
	"io"
)

// input is standard input for a command that reads it to its end: reading fails once ctx has ended.
// The read under way cannot be cancelled and is left behind, so nothing else may read afterwards.
func (a *app) input(ctx context.Context) io.Reader {
	read, write := io.Pipe()
	context.AfterFunc(ctx, func() { _ = write.CloseWithError(ctx.Err()) }) // which never fails
	go func() {
		_, err := io.Copy(write, a.in)
		_ = write.CloseWithError(err) // nil is the end of the input
	}()
	return read
}
