package mcp

import (
	"context"
	"io"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Place says where the calls of a connection work.
type Place struct {
	// Session is a Sandgate session that exists. It is used and left as it is. Empty: one is made by
	// the first call and deleted in the end.
	Session string
	// Template is that of the session to be made. Empty: the gateway's default.
	Template string
}

// Serve speaks with the one client at the other end of two streams, a JSON message a line, until the
// client closes its stream or ctx ends; then calls are cancelled, three seconds after the stream was
// closed and at once where ctx ended, and the session is deleted. It closes both streams. A read that does not end with its stream, such as one of a terminal, is left behind.
func (f *Facade) Serve(ctx context.Context, in io.ReadCloser, out io.WriteCloser, at Place) error {
	s := f.newSession("", f.newPlace("", at.Session, at.Template))
	defer f.leave(s)
	defer s.end()
	wire, err := f.implicit.Connect(withSession(context.WithoutCancel(ctx), s), lingering{&sdk.IOTransport{Reader: in, Writer: out}}, nil)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		s.end()
		_ = wire.Close()
	})
	defer stop()
	if err := wire.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
