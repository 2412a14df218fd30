package gateway

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// A meteredBox works for a part of its time, and keeps what it was told about its share.
type meteredBox struct {
	*box

	made  time.Time
	mu    sync.Mutex
	spans []span           // guarded by mu
	share sandbox.CPUShare // guarded by mu
}

// A span is a time of work, of which the sandbox uses so many processors.
type span struct {
	from, to   time.Duration
	processors float64
}

func (b *meteredBox) Usage(context.Context) (sandbox.Usage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var use sandbox.Usage
	for _, s := range b.spans {
		worked := min(time.Since(b.made), s.to) - s.from
		use.CPU += time.Duration(float64(max(0, worked)) * s.processors)
	}
	return use, nil
}

func (b *meteredBox) SetCPUShare(share sandbox.CPUShare) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share = share
	return nil
}

func (b *meteredBox) told() sandbox.CPUShare {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.share
}

// TestSharesOfTheBusy is one tenant that works in two sandboxes beside others that do not, or not now.
func TestSharesOfTheBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var boxes []*meteredBox
		h := newHouse(t, func(o *SessionOptions) {
			inner := o.Driver
			o.Driver = sandbox.DriverFunc(func(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
				made, err := inner.Create(ctx, spec)
				if err != nil {
					return nil, err
				}
				inside, ok := made.(*box)
				if !ok {
					t.Errorf("%T", made)
				}
				b := &meteredBox{box: inside, made: time.Now()}
				boxes = append(boxes, b)
				return b, nil
			})
		})
		create := func(tenant string, spans ...span) *meteredBox {
			_, err := h.createSession(as(t.Context(), &identity.Principal{Tenant: tenant}), &sandgatev1.CreateSessionRequest{})
			if err != nil {
				t.Fatal(err)
			}
			b := boxes[len(boxes)-1]
			b.mu.Lock()
			defer b.mu.Unlock()
			b.spans = spans
			return b
		}
		loud := create("loud", span{0, time.Minute, 1})
		turns := create("loud", span{0, 2 * time.Second, .9}, span{5 * time.Second, 7 * time.Second, .9}, span{9 * time.Second, 11 * time.Second, .9})
		brief := create("loud", span{0, 500 * time.Millisecond, 1}, span{10 * time.Second, 10500 * time.Millisecond, 1})
		idle := create("loud")
		want := func(when string, b *meteredBox, weight int, aside bool) {
			t.Helper()
			if got := b.told(); got != (sandbox.CPUShare{Weight: weight, Aside: aside}) {
				t.Errorf("%s: %s has %+v", when, b.id, got)
			}
		}
		pass(12 * time.Second)
		synctest.Wait()
		want("alone on the host", loud, busyWeight/2, false)
		want("between its turns", turns, busyWeight/2, false)
		want("alone on the host", idle, quietWeight, false)
		want("busy for a moment", brief, quietWeight, false)

		other := create("quiet", span{0, time.Minute, .1})
		pass(2 * time.Second)
		synctest.Wait()
		want("beside another", loud, busyWeight/2, true)
		want("beside another", turns, busyWeight/2, true)
		want("beside another", idle, quietWeight, false)
		want("beside the loud", other, quietWeight, false)

		pass(busyFor)
		synctest.Wait()
		want("still at it", loud, busyWeight, true)
		want("long after its turns", turns, quietWeight, false)

		other.die(sandbox.ErrLost)
		pass(time.Second)
		synctest.Wait()
		want("alone again", loud, busyWeight, false)
	})
}
