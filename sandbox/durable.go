package sandbox

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// How the host and a guest speak of durable requests. A request that carries CallHeader is durable:
// its work goes on when the channel breaks, and what it answers is kept in the guest under that name.
const (
	// CallHeader is the header with the name of a durable request.
	CallHeader = "Sandgate-Call"
	// MissedHeader is the header that says how many messages at the beginning of an answer were not
	// kept. Without it all are there.
	MissedHeader = "Sandgate-Missed"
	// CallPath is where a guest is asked about the durable request that CallHeader names: HEAD tells
	// whether it knows it, GET answers as the request itself did and does, DELETE ends its work and
	// forgets it. What a guest does not know is 404.
	CallPath = "/durable-call"
)

// A Durable is a call that outlives the gateway that made it: each request to a guest that is made
// with its context has a name, under which another gateway can take it up. Its methods may be called
// by any number of goroutines.
type Durable struct {
	name    string
	resumes bool
	began   time.Time

	mu     sync.Mutex
	made   int                         // requests; guarded by mu
	known  bool                        // the guest knew the first of them; guarded by mu
	lost   bool                        // it did not know one; guarded by mu
	missed int64                       // messages that were not kept; guarded by mu
	forget []func(ctx context.Context) // guarded by mu
}

// NewDurable returns a call that begins now. Its name must be no other call's.
func NewDurable(name string) *Durable { return &Durable{name: name, began: time.Now()} }

// ResumeDurable returns a call that another gateway has made. Nothing of it is sent to a guest again:
// each of its requests asks the guest for what it answers to the one that it had.
func ResumeDurable(name string, began time.Time) *Durable {
	if now := time.Now(); began.After(now) {
		began = now // the host's clock was set back
	}
	return &Durable{name: name, began: began, resumes: true}
}

// durableKey is the key of the durable call in a context.
type durableKey struct{}

// WithDurable returns a context whose requests to guests belong to d. Where that is nil, they end with
// the channel that they went by.
func WithDurable(ctx context.Context, d *Durable) context.Context {
	return context.WithValue(ctx, durableKey{}, d)
}

// DurableFrom returns the call that a context belongs to, nil for none.
func DurableFrom(ctx context.Context) *Durable {
	d, _ := ctx.Value(durableKey{}).(*Durable)
	return d
}

// Began tells since when the call runs. It is not zero.
func (d *Durable) Began() time.Time { return d.began }

// Resumes tells whether another gateway has made the call.
func (d *Durable) Resumes() bool { return d.resumes }

// Next names the call's next request.
func (d *Durable) Next() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made++
	return d.name + "-" + strconv.Itoa(d.made)
}

// Found notes whether a guest knew a request that was made before.
func (d *Durable) Found(known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = d.known || known
	d.lost = d.lost || !known
}

// Lost tells whether nobody knows what became of a call that another gateway made: none of its
// requests was found, or one was not. It is false for nil.
func (d *Durable) Lost() bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.resumes && (d.lost || !d.known)
}

// Miss notes that so many messages were not kept.
func (d *Durable) Miss(messages int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.missed += messages
}

// Missed tells how many messages were not kept. It is 0 for nil.
func (d *Durable) Missed() int64 {
	if d == nil {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.missed
}

// OnSettled notes how to have a guest forget what it keeps of the call.
func (d *Durable) OnSettled(forget func(ctx context.Context)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget = append(d.forget, forget)
}

// Settle has guests forget what they keep of the call. It is for whoever has written down how the
// call ended. A guest that does not hear of it forgets it by itself, some minutes later. It does nothing
// for nil.
func (d *Durable) Settle(ctx context.Context) {
	if d == nil {
		return
	}
	d.mu.Lock()
	forget := d.forget
	d.forget = nil
	d.mu.Unlock()
	for _, one := range forget {
		one(ctx)
	}
}
