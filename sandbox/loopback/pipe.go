package loopback

import (
	"bytes"
	"io"
	"sync"
)

// pipeRoom is how much a handler may write before it is read, as with a socket. A handler that has ended
// with an error while its caller still sends needs some of it: nobody would read, and nobody would go on.
const pipeRoom = 64 << 10

// pipe is what a handler writes until it is read. One goroutine writes and one reads; any may end it.
type pipe struct {
	mu      sync.Mutex
	changed sync.Cond
	held    bytes.Buffer // guarded by mu
	ended   error        // what a reader gets behind what is held; nil: there may be more; guarded by mu
	left    bool         // nobody reads any more; guarded by mu
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed.L = &p.mu
	return p
}

// Write returns once all but the last pipeRoom bytes have been read.
func (p *pipe) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	written := 0
	for {
		if p.left || p.ended != nil {
			return written, io.ErrClosedPipe
		}
		if written == len(data) {
			return written, nil
		}
		if room := pipeRoom - p.held.Len(); room > 0 {
			n, _ := p.held.Write(data[written:min(len(data), written+room)]) // never fails
			written += n
			p.changed.Broadcast()
			continue
		}
		p.changed.Wait()
	}
}

// Read reads what was written and then why it ended.
func (p *pipe) Read(into []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.left:
			return 0, io.ErrClosedPipe
		case p.held.Len() > 0:
			p.changed.Broadcast()
			return p.held.Read(into)
		case p.ended != nil:
			return 0, p.ended
		}
		p.changed.Wait()
	}
}

// end lets nothing more be written. The first reason stays.
func (p *pipe) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == nil {
		p.ended = why
		p.changed.Broadcast()
	}
}

// leave is called when nobody reads any more.
func (p *pipe) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
	p.changed.Broadcast()
}
