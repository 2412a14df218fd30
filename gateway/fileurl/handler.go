package fileurl

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// Options are what a [Handler] stands on.
type Options struct {
	// Sealer opens the addresses. Required.
	Sealer *Sealer
	// Files are the gateway's own. Required.
	Files sandgatev1connect.FileServiceClient
	// Authenticate returns who sends a request that brings the header which [Handler.Authorization] gave,
	// or an RPC error. Required.
	Authenticate func(r *http.Request) (gateway.Caller, error)
	// Logger is told what cannot be told anybody else. Nil means slog.Default.
	Logger *slog.Logger
}

// A Handler serves the addresses of files.
type Handler struct {
	opts   Options
	errors *connect.ErrorWriter
}

// New returns a handler, which is to be mounted at [Prefix] with [gateway.Server.MountBearing].
func New(opts Options) *Handler {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Handler{opts: opts, errors: connect.NewErrorWriter()}
}

// Authorization returns the credentials that the address of a request holds, empty for none.
func (h *Handler) Authorization(r *http.Request) string {
	grant, ok := h.opts.Sealer.Open(r.URL.Path)
	if !ok || !time.Now().Before(grant.Expires) {
		return ""
	}
	return "Bearer " + grant.Token
}

// ServeHTTP serves a download or an upload.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guard(w.Header())
	grant, authorization, err := h.admit(r)
	if err == nil {
		err = fits(w.Header(), r, grant)
	}
	if err == nil {
		ctx, info := connect.NewClientContext(r.Context())
		if authorization != "" {
			info.RequestHeader().Set("Authorization", authorization)
		}
		// The calls that this request makes have its name in the log.
		info.RequestHeader().Set(gateway.RequestIDHeader, w.Header().Get(gateway.RequestIDHeader))
		if grant.Upload {
			err = h.upload(ctx, w, r, grant)
		} else {
			err = h.download(ctx, w, r, grant)
		}
	}
	if err != nil {
		h.refuse(w, r, err)
	}
}

// guard sets the headers of every reply. The content is untrusted and the address is a secret: nothing is
// shown, guessed, embedded by another site, or kept; and no page that is reached from here is told where
// its visitor comes from. What the maker of the address has left to use is not for who has it.
func guard(header http.Header) {
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "private, no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Del(quota.PolicyHeader)
	header.Del(quota.LeftHeader)
}

// admit returns what the address of a request grants, and the header with which calls are made.
func (h *Handler) admit(r *http.Request) (grant gateway.FileGrant, authorization string, err error) {
	grant, ok := h.opts.Sealer.Open(r.URL.Path)
	switch {
	case !ok:
		return grant, "", errUnknown()
	case !time.Now().Before(grant.Expires):
		return grant, "", errExpired()
	}
	caller, err := h.opts.Authenticate(r)
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		err = errRevoked()
	}
	return grant, caller.Authorization, err
}

// fits returns why a request is none that its address is for.
func fits(reply http.Header, r *http.Request, grant gateway.FileGrant) error {
	if !grant.Upload {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return nil
		}
		reply.Set("Allow", "GET, HEAD")
		return errMethod("Use GET: the address is for a download.")
	}
	if r.Method != http.MethodPut {
		reply.Set("Allow", "PUT")
		return errMethod("Use PUT: the address is for an upload.")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return errEncoding()
	}
	if r.Header.Get("Content-Range") != "" { // which would make a part of a file the whole of it
		return errPart()
	}
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if r.Header.Get(name) != "" { // which must not be overlooked, and cannot be looked at
			return errCondition()
		}
	}
	return nil
}

// refuse answers a request with an error, as Connect writes them.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	gateway.Failed(r.Context(), err)
	if r.Context().Err() != nil {
		return // nobody is there to read it
	}
	w.Header().Del("Www-Authenticate") // no other credentials would do
	if known, ok := errors.AsType[*refusal](err); ok {
		w = withStatus{w, known.status}
	}
	// No matter what the request says of its form: its sender need not know any protocol.
	plain := &http.Request{Method: http.MethodPut, Header: http.Header{}}
	if writeErr := h.errors.Write(w, plain, err); writeErr != nil {
		h.opts.Logger.DebugContext(r.Context(), "a refusal could not be sent", "err", writeErr)
	}
}

// withStatus answers with another status than Connect has for a code.
type withStatus struct {
	http.ResponseWriter

	status int
}

// WriteHeader sends the status.
func (w withStatus) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }
