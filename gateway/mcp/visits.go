package mcp

import (
	"context"
	"net/http"
	"strconv"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// visitHeader names a request among those being served. What a client sends under it is overwritten.
const visitHeader = "Sandgate-Visit"

// visits ends calls with the HTTP requests that they came by: nobody would get their results. The SDK
// gives a handler the headers of the request and not its context, so a header leads from one to the
// other. The zero value is ready.
type visits struct {
	mu   sync.Mutex
	last uint64                                            // guarded by mu
	open map[string]func(end func()) (release func() bool) // by the header's value; guarded by mu
}

// begin names a request. The function it returns must be called at the request's end, and ends what
// follows it.
func (v *visits) begin(r *http.Request) (end func()) {
	ctx, cancel := context.WithCancel(r.Context())
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last++
	name := strconv.FormatUint(v.last, 10)
	if v.open == nil {
		v.open = make(map[string]func(func()) func() bool)
	}
	v.open[name] = func(end func()) func() bool { return context.AfterFunc(ctx, end) }
	r.Header.Set(visitHeader, name)
	return func() {
		cancel()
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.open, name)
	}
}

// follow has cancel called at the end of the request that a call came by. release must be called when
// the call has ended.
func (v *visits) follow(extra *sdk.RequestExtra, cancel func()) (release func()) {
	if extra == nil { // it did not come over HTTP
		return func() {}
	}
	v.mu.Lock()
	after := v.open[extra.Header.Get(visitHeader)]
	v.mu.Unlock()
	if after == nil { // the request has ended already
		cancel()
		return func() {}
	}
	stop := after(cancel)
	return func() { stop() }
}
