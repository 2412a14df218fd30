package fileserver

import "io"

// A Pipe is read as what a function writes meanwhile. A Read fails with the function's error when all was
// read. Close must be called: it ends the function's next Write, and waits for the function.
type Pipe struct {
	*io.PipeReader

	done chan struct{}
}

// Piped runs write, which must end when a Write of its fails.
func Piped(write func(io.Writer) error) *Pipe {
	from, to := io.Pipe()
	p := &Pipe{PipeReader: from, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = to.CloseWithError(write(to)) // it never fails
	}()
	return p
}

// Close ends and waits.
func (p *Pipe) Close() error {
	err := p.PipeReader.Close()
	<-p.done
	return err
}

// pieces returns what gives out what a reader holds in pieces of at most 64 KiB, and then io.EOF. A piece is
// good until the next.
func pieces(from io.Reader) func() ([]byte, error) {
	buf := make([]byte, maxPieceBytes)
	return func() ([]byte, error) {
		for {
			n, err := from.Read(buf)
			if n > 0 {
				return buf[:n], nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

// headed returns what gives out the header of a stream, and then its pieces.
func headed[Req any](header Req, content io.Reader, piece func([]byte) Req) func() (Req, error) {
	next, begun := pieces(content), false
	return func() (Req, error) {
		if !begun {
			begun = true
			return header, nil
		}
		data, err := next()
		return piece(data), err
	}
}
