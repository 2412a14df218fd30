package mcp

import (
	"context"
	"errors"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// makeTimeout bounds the making of a Sandgate session. The gateway's own bound is less.
const makeTimeout = 3 * time.Minute

// place is the Sandgate session behind one MCP session. The first call makes it, and the call after
// the one that found it lost makes another.
type place struct {
	sessions sandgatev1connect.SessionServiceClient
	wish     *sandgatev1.CreateSessionRequest
	given    bool // the session is somebody else's: it is used, and neither made nor deleted

	mu     sync.Mutex
	header string  // the Authorization of whose it is, the newest that came; guarded by mu
	id     string  // empty: there is none; guarded by mu
	making *making // nil: none is being made; guarded by mu
	closed bool    // guarded by mu
	work   sync.WaitGroup
}

// making is one session being made, for however many calls wait for it.
type making struct {
	done chan struct{}
	id   string // read after done
	err  error  // read after done
}

// newPlace returns a place that begins empty, or is the session of an id.
func (f *Facade) newPlace(header, id, template string) *place {
	return &place{
		sessions: f.opts.Sessions, header: header, id: id, given: id != "",
		wish: f.wish(template),
	}
}

// renew notes the Authorization of a newer request: that of an older one may have expired.
func (p *place) renew(header string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.header = header
}

// authorization returns the newest.
func (p *place) authorization() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.header
}

// wish is the session that a template asks for.
func (f *Facade) wish(template string) *sandgatev1.CreateSessionRequest {
	return &sandgatev1.CreateSessionRequest{
		Template:    template,
		Metadata:    map[string]string{"made_by": "mcp"},
		IdleTimeout: durationpb.New(f.opts.Lease),
	}
}

// enter returns the id of the session to work in. A caller that leaves while it is made loses
// nothing: it is there for the next.
func (p *place) enter(ctx context.Context) (string, error) {
	p.mu.Lock()
	if p.id != "" || p.closed {
		defer p.mu.Unlock()
		if p.closed {
			return "", connect.NewError(connect.CodeCanceled, context.Canceled)
		}
		return p.id, nil
	}
	if p.making == nil {
		p.making = &making{done: make(chan struct{})}
		p.work.Go(func() { p.create(context.WithoutCancel(ctx)) })
	}
	m := p.making
	p.mu.Unlock()
	select {
	case <-m.done:
		return m.id, m.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// create makes the session that enter waits for.
func (p *place) create(ctx context.Context) {
	ctx, cancel := context.WithTimeout(outgoing(ctx, p.authorization(), ""), makeTimeout)
	defer cancel()
	res, err := p.sessions.CreateSession(ctx, p.wish)
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.making
	m.id, m.err = res.GetSession().GetId(), err
	p.id, p.making = m.id, nil
	close(m.done)
}

// lost notes that the session of an id is gone, if it still is the place's.
func (p *place) lost(ctx context.Context, id string) {
	p.mu.Lock()
	known := p.id == id && !p.given
	if known {
		p.id = ""
	}
	p.mu.Unlock()
	if known {
		_ = p.remove(ctx, id) // a lost one waits to be deleted; one that has ended is no more
	}
}

// Close deletes the session, unless it was given. It waits for one that is being made. Where it fails,
// it may be called again.
func (p *place) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.work.Wait()
	if p.id == "" || p.given { // nobody changes it any more
		return nil
	}
	if err := p.remove(ctx, p.id); err != nil {
		return err
	}
	p.id = ""
	return nil
}

// remove deletes a session. One that is no more is no error.
func (p *place) remove(ctx context.Context, id string) error {
	_, err := p.sessions.DeleteSession(outgoing(ctx, p.authorization(), ""), &sandgatev1.DeleteSessionRequest{SessionId: id})
	if reason, _ := detailOf(err); reason == gateway.ReasonSessionNotFound {
		return nil
	}
	return err
}

// outgoing returns a context for one call of the API, in the name of a principal. request names the
// call in the log; empty: the gateway does.
func outgoing(ctx context.Context, principal, request string) context.Context {
	ctx, info := connect.NewClientContext(ctx)
	if principal != "" {
		info.RequestHeader().Set("Authorization", principal)
	}
	if request != "" {
		info.RequestHeader().Set(gateway.RequestIDHeader, request)
	}
	return ctx
}

// detailOf returns the reason and the hint of an error of the API's, where it has them.
func detailOf(err error) (reason, hint string) {
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return "", ""
	}
	for _, detail := range wire.Details() {
		value, valueErr := detail.Value()
		if known, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
			return known.GetReason(), known.GetHint()
		}
	}
	return "", ""
}
