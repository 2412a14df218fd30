package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/sandgate/sandgate/gateway/identity"
)

// Mount serves a handler at a path, or at everything below it where the path ends in a slash. Its
// requests pass the doors, have bounds and a line in the log, under the path, and end with the
// gateway as calls do. They take no place of a call: what such a handler does it does by calls of its
// own (see the package loopback). It looks at paths before the RPCs do, and must not be called once
// the server serves.
func (s *Server) Mount(path string, handler http.Handler) {
	if s.mounts == nil {
		s.mounts = make(map[string]*route)
	}
	s.mounts[path] = &route{procedure: path, handler: handler, kind: kindless}
}

// MountBearing is Mount for requests that bring their credentials in their path, and bodies as long as
// they like: each piece of one must come in time. authorization returns the header that a request would
// have if it brought its credentials there, empty for none; it is called once for each request, before
// anything of its body is read. Other credentials that the request brings are dropped.
func (s *Server) MountBearing(path string, handler http.Handler, authorization func(*http.Request) string) {
	s.Mount(path, handler)
	s.mounts[path].streams, s.mounts[path].authorization = true, authorization
}

// OnDrain has a function called when the server begins to end: it should make those requests end
// that would wait for ever, such as streams of events. It is called once and must return at once.
// OnDrain must not be called once the server serves.
func (s *Server) OnDrain(end func()) { s.onDrain = append(s.onDrain, end) }

// mountOf returns what is mounted at a path, or closest above it, nil for nothing.
func (s *Server) mountOf(path string) *route {
	if len(s.mounts) == 0 {
		return nil
	}
	if target := s.mounts[path]; target != nil {
		return target
	}
	for at := strings.LastIndexByte(path, '/'); at >= 0; at = strings.LastIndexByte(path[:at], '/') {
		if target := s.mounts[path[:at+1]]; target != nil {
			return target
		}
	}
	return nil
}

// visit serves a request to a mount.
func (s *Server) visit(w http.ResponseWriter, r *http.Request, target *route) {
	if err := s.admission.visit(); err != nil {
		s.refuse(w, r, err)
		return
	}
	defer s.admission.depart()
	if target.authorization != nil {
		r.Header.Del("Authorization")
		if bearing := target.authorization(r); bearing != "" {
			r.Header.Set("Authorization", bearing)
		}
	}
	principal, err := s.opts.Authenticator.Authenticate(r)
	if err != nil {
		principal = &identity.Principal{} // whom the handler lets in is its own matter
	}
	s.serve(w, r, target, principal)
}

// Failed says for the log and the metrics why a request to a mount failed. ctx is the request's.
func Failed(ctx context.Context, err error) { callFrom(ctx).noteError(err) }

// Abort is Failed for a request whose reply cannot be ended well any more: it cuts the connection, or the
// stream of HTTP/2, so that the client does not take what it has for the whole. It does not return.
func Abort(ctx context.Context, err error) {
	callFrom(ctx).noteCut(err)
	panic(http.ErrAbortHandler) //nolint:forbidigo // a handler has no other way
}

// A Caller is who sends a request, for handlers that are mounted.
type Caller struct {
	// Name tells callers apart: the same for one who comes back, with a newer token perhaps.
	Name string
	// Authorization is the header with which RPCs are made on their behalf. Empty: none is needed.
	Authorization string
}

// Admit returns who sends a request or, as an RPC error, why it may not come in.
func (s *Server) Admit(r *http.Request) (Caller, error) {
	principal, err := s.authenticate(make(http.Header), r)
	if err != nil {
		return Caller{}, err
	}
	onward, err := s.opts.Authenticator.Onward(r, principal)
	return Caller{Name: principal.Tenant + " " + principal.ID, Authorization: onward}, err
}
