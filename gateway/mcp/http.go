package mcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway"
)

// stateless is the first revision of the protocol without sessions. Revisions are dates, so they
// compare as texts.
const stateless = "2026-07-28"

// ServeHTTP serves the protocol's streamable HTTP transport, at any path. It leaves Host and Origin to
// whoever is in front. A request is answered in the revision that it says it speaks; where it says
// none, it is one with sessions.
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, err := f.admit(r)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	template, err := f.template(r)
	if err == nil {
		err = bounded(w, r)
	}
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	// Calls of the API that this request makes have its name in the log.
	r.Header.Set(gateway.RequestIDHeader, w.Header().Get(gateway.RequestIDHeader))
	defer f.visits.begin(r)()
	if r.Header.Get("Mcp-Protocol-Version") >= stateless {
		f.single.ServeHTTP(w, r.WithContext(withTemplate(r.Context(), template)))
		return
	}
	f.serveSession(w, r, caller, template)
}

// admit returns who sends a request, which from then on carries what calls on their behalf need.
func (f *Facade) admit(r *http.Request) (gateway.Caller, error) {
	if f.opts.Authenticate == nil {
		sent := r.Header.Get("Authorization")
		return gateway.Caller{Name: sent, Authorization: sent}, nil
	}
	caller, err := f.opts.Authenticate(r)
	if err == nil && caller.Authorization != "" {
		r.Header.Set("Authorization", caller.Authorization)
	}
	return caller, err
}

// template returns the template that a URL asks for.
func (f *Facade) template(r *http.Request) (string, error) {
	templates := f.opts.Templates
	switch asked := r.URL.Query().Get("template"); {
	case slices.Contains(templates, asked):
		return asked, nil
	case asked != "":
		return "", gateway.Errorf(connect.CodeInvalidArgument, gateway.ReasonInvalidArgument,
			"Use one of: "+strings.Join(templates, ", ")+".", "template: there is none of this name")
	case len(templates) > 0:
		return templates[0], nil
	default:
		return "", nil
	}
}

// bounded reads the body of a request, and refuses one that would cost far more to decode than to send.
func bounded(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return gateway.Errorf(connect.CodeResourceExhausted, gateway.ReasonInvalidArgument,
			"Send large data in parts.", "the request has more than %d bytes", tooLarge.Limit)
	}
	if err == nil {
		err = gateway.CheckJSON(body)
	}
	if err != nil {
		return gateway.Error(connect.CodeInvalidArgument, gateway.ReasonInvalidArgument, "Send a smaller request.", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// serveSession serves a request of a session, or one that begins one.
func (f *Facade) serveSession(w http.ResponseWriter, r *http.Request, caller gateway.Caller, template string) {
	id := r.Header.Get("Mcp-Session-Id")
	if id == "" {
		s := f.newSession(caller.Name, f.newPlace(caller.Authorization, "", template))
		s.remote = true
		f.stateful.ServeHTTP(w, r.WithContext(withSession(r.Context(), s)))
		return
	}
	s := f.sessions.find(id, caller.Name)
	if s == nil {
		http.Error(w, "session not found", http.StatusNotFound)
		return
	}
	s.place.renew(caller.Authorization)
	if r.Method == http.MethodGet {
		f.listen(w, r, s)
		return
	}
	defer s.arrive()()
	if r.Method == http.MethodDelete {
		s.end() // the SDK waits for the calls
		defer func() {
			select {
			case <-s.gone: // so that the sandbox is gone when the client is told
			case <-r.Context().Done():
			}
		}()
	}
	f.stateful.ServeHTTP(w, r)
}

// newSession returns a session that nothing knows of yet.
func (f *Facade) newSession(principal string, at *place) *session {
	return &session{principal: principal, place: at, most: f.opts.MaxCalls, gone: make(chan struct{}), used: time.Now()}
}

// listen serves the stream of a session's events, until the client leaves, or the gateway drains and the
// session's requests are answered: some clients give their calls up when they lose this stream.
func (f *Facade) listen(w http.ResponseWriter, r *http.Request, s *session) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-f.drained:
		case <-ctx.Done():
			return
		}
		select {
		case <-s.settled():
		case <-ctx.Done():
		}
	}()
	f.stateful.ServeHTTP(w, r.WithContext(ctx))
}
