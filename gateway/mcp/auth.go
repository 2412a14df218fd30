package mcp

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// MetadataPath is where [Facade.Metadata] must be served. RFC 9728 puts the path of the resource behind
// it.
const MetadataPath = "/.well-known/oauth-protected-resource"

// resourcePath is where the façade is served, as its metadata say.
const resourcePath = "/mcp"

// Metadata serves what a client needs to know to get a token (RFC 9728), at MetadataPath and below.
// There is nothing to know where everybody may come in.
func (f *Facade) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, ok := strings.CutPrefix(r.URL.Path, MetadataPath)
		if f.opts.Authenticate == nil || !ok || (at != "" && at != resourcePath) {
			http.NotFound(w, r)
			return
		}
		auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
			Resource:               f.base(r) + resourcePath,
			AuthorizationServers:   f.opts.AuthorizationServers,
			ScopesSupported:        f.opts.Scopes,
			BearerMethodsSupported: []string{"header"},
			ResourceName:           "Sandgate",
		}).ServeHTTP(w, r)
	})
}

// base returns where the client of a request finds the gateway.
func (f *Facade) base(r *http.Request) string {
	if f.opts.BaseURL != "" {
		return strings.TrimRight(f.opts.BaseURL, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// refuse answers a request that is not let in. Its body is that of the API's errors.
func (f *Facade) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		challenge := fmt.Sprintf("Bearer resource_metadata=%q", f.base(r)+MetadataPath+resourcePath)
		if r.Header.Get("Authorization") != "" {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if writeErr := connect.NewErrorWriter().Write(w, r, err); writeErr != nil {
		f.log.DebugContext(r.Context(), "a refusal could not be sent", "err", writeErr)
	}
}

// same compares two names, which may be secrets, without telling by its time where they differ.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
