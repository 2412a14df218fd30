package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/store"
	"github.com/sandgate/sandgate/sandbox"
)

func TestMain(m *testing.M) {
	if os.Getenv(conformanceVariable) != "" {
		os.Exit(conformanceMain())
	}
	goleak.VerifyTestMain(m)
}

// quiet is a logger for tests that do not look at the log.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// box is a sandbox with nothing in it.
type box struct {
	id     string
	spec   sandbox.Spec
	done   chan struct{}
	once   sync.Once
	err    error // read after done
	closed chan struct{}
	shut   sync.Once
}

func newBox(id string, spec sandbox.Spec) *box {
	return &box{id: id, spec: spec, done: make(chan struct{}), closed: make(chan struct{})}
}

func (b *box) ID() string                   { return b.id }
func (b *box) Spec() sandbox.Spec           { return b.spec }
func (b *box) Transport() http.RoundTripper { return http.DefaultTransport }
func (b *box) Done() <-chan struct{}        { return b.done }

func (b *box) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

func (b *box) Close(context.Context) error {
	b.shut.Do(func() { close(b.closed) })
	b.die(sandbox.ErrClosed)
	return nil
}

// die ends the box as its engine would.
func (b *box) die(err error) {
	b.once.Do(func() {
		b.err = err
		close(b.done)
	})
}

func (b *box) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// engine is a driver of boxes.
type engine struct {
	mu    sync.Mutex
	boxes []*box
	fail  error
	gate  chan struct{} // where it is not nil, each creation waits for it
}

func (e *engine) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if e.gate != nil {
		select {
		case <-e.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return nil, e.fail
	}
	b := newBox(fmt.Sprintf("box-%d", len(e.boxes)), spec)
	e.boxes = append(e.boxes, b)
	return b, nil
}

func (e *engine) last() *box {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.boxes[len(e.boxes)-1]
}

// open counts the boxes that nobody has closed.
func (e *engine) open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, b := range e.boxes {
		if !b.isClosed() {
			n++
		}
	}
	return n
}

// memory is a store that forgets at the end of the test.
type memory struct {
	mu   sync.Mutex
	rows map[string]store.Session
	fail error
}

func newMemory() *memory { return &memory{rows: make(map[string]store.Session)} }

func (m *memory) Sessions(context.Context) ([]store.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.rows)), m.fail
}

func (m *memory) Put(_ context.Context, session store.Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.rows[session.ID] = session
	return nil
}

func (m *memory) Renew(_ context.Context, leases []store.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, lease := range leases {
		if row, ok := m.rows[lease.ID]; ok {
			row.IdleTimeout, row.IdleExpiresAt = lease.IdleTimeout, lease.IdleExpiresAt
			m.rows[lease.ID] = row
		}
	}
	return m.fail
}

func (m *memory) Lose(_ context.Context, id, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if row, ok := m.rows[id]; ok {
		row.LostReason = reason
		m.rows[id] = row
	}
	return m.fail
}

func (m *memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil {
		delete(m.rows, id)
	}
	return m.fail
}

// failing sets what every method returns from now on, nil for none.
func (m *memory) failing(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) row(id string) (store.Session, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := m.rows[id]
	return row, ok
}

// house is sessions with an engine and a store behind them.
type house struct {
	*Sessions

	engine *engine
	memory *memory
}

func newHouse(tb testing.TB, change func(*SessionOptions)) *house {
	tb.Helper()
	h := &house{engine: &engine{}, memory: newMemory()}
	opts := SessionOptions{
		Driver: h.engine, Store: h.memory, Runtime: "runc",
		Templates: []string{"python", "data"}, Logger: quiet(),
	}
	if change != nil {
		change(&opts)
	}
	var err error
	if h.Sessions, err = NewSessions(opts); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		if n := h.engine.open(); n != 0 {
			tb.Errorf("%d sandboxes are left", n)
		}
	})
	return h
}

var errBoom = errors.New("boom at /var/lib/secret")

// pass lets time go by; inside synctest it costs none.
func pass(d time.Duration) { <-time.After(d) }

// anybody is a context of whoever calls a gateway without keys, outside of any call.
func anybody(ctx context.Context) context.Context {
	return as(ctx, identity.Anyone())
}

// as is a context of a caller, outside of any call.
func as(ctx context.Context, caller *identity.Principal) context.Context {
	return withCall(ctx, &call{principal: caller, ended: true})
}
