package guest

import (
	"sync"
	"time"
)

// gather is how long events are collected before they are sent together. The first one is sent at
// once; a program that flushes every byte must not cost an event a byte.
const gather = 5 * time.Millisecond

// outbox passes events from the goroutines that read a program's output to the one that sends them
// to the caller. It never makes a reader wait: its producers are bounded by what a call may return.
type outbox[Event any] struct {
	send func(Event) error
	join func(last, next Event) bool // appends next to last if they may be one event

	mu      sync.Mutex
	waiting []Event // guarded by mu
	err     error   // why sending stopped; guarded by mu
	active  bool    // a sender runs; guarded by mu
	idle    *sync.Cond
	last    chan struct{} // closed when no more will be put
	ended   func()        // called once when sending fails
}

func newOutbox[Event any](send func(Event) error, join func(last, next Event) bool, ended func()) *outbox[Event] {
	o := &outbox[Event]{send: send, join: join, last: make(chan struct{}), ended: ended}
	o.idle = sync.NewCond(&o.mu)
	return o
}

// put queues an event. The first one starts a goroutine that ends when the queue is empty again,
// so that a call without output needs none.
func (o *outbox[Event]) put(event Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	if n := len(o.waiting); n > 0 && o.join != nil && o.join(o.waiting[n-1], event) {
		return
	}
	o.waiting = append(o.waiting, event)
	if !o.active {
		o.active = true
		go o.run()
	}
}

func (o *outbox[Event]) run() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 && o.err == nil {
		batch := o.waiting
		o.waiting = nil
		o.mu.Unlock()
		var err error
		for _, event := range batch {
			if err = o.send(event); err != nil {
				break
			}
		}
		if err == nil {
			o.collect()
		}
		o.mu.Lock()
		if err != nil {
			o.err = err
			o.waiting = nil
			o.ended()
		}
	}
	o.active = false
	o.idle.Broadcast()
}

// collect waits for more to send, unless there will not be any.
func (o *outbox[Event]) collect() {
	timer := time.NewTimer(gather)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.last:
	}
}

// flush returns when everything that was put has been sent, or could not be. It is called once, when
// nothing more will be put.
func (o *outbox[Event]) flush() error {
	close(o.last)
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.active {
		o.idle.Wait()
	}
	return o.err
}
