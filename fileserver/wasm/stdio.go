package wasm

import (
	"context"
	"errors"
	"io"
)

// maxStderr is how much of what a program says on its stderr is kept, in bytes.
const maxStderr = 4 << 10

// gate is what an instance waits at that was started before there was anything for it to do.
type gate struct {
	ctx    context.Context //nolint:containedctx // of the instance
	opened chan struct{}
}

// open lets the instance pass. It is called once, by who has set what is behind the gate.
func (g *gate) open() { close(g.opened) }

// pass waits, and returns whether the gate was opened.
func (g *gate) pass() bool {
	select {
	case <-g.opened:
		return true
	case <-g.ctx.Done():
		return false
	}
}

// inlet is the stdin of an instance.
type inlet struct {
	gate *gate
	stop context.CancelCauseFunc
	from io.Reader // set before the gate opens
}

// Read ends the instance where what it reads from fails.
func (in *inlet) Read(b []byte) (int, error) {
	if !in.gate.pass() {
		return 0, io.EOF
	}
	n, err := in.from.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		in.stop(err)
	}
	return n, err
}

// outlet is the stdout of an instance.
type outlet struct {
	gate *gate
	stop context.CancelCauseFunc
	to   io.Writer // set before the gate opens
	left int64
}

// Write ends the instance where it has written too much, or nobody takes it.
func (out *outlet) Write(b []byte) (int, error) {
	if !out.gate.pass() {
		return 0, io.ErrClosedPipe
	}
	if int64(len(b)) > out.left {
		out.stop(ErrOutput)
		return 0, ErrOutput
	}
	out.left -= int64(len(b))
	n, err := out.to.Write(b)
	if err != nil {
		out.stop(err)
	}
	return n, err
}

// head keeps the beginning of what is written to it.
type head struct{ kept []byte }

func (h *head) Write(b []byte) (int, error) {
	h.kept = append(h.kept, b[:min(len(b), maxStderr-len(h.kept))]...)
	return len(b), nil
}

func (h *head) String() string { return string(h.kept) }
