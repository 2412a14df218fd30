package main

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// maxReplyBytes bounds one message of the gateway: the largest is a display with pictures in it.
const maxReplyBytes = 64 << 20

// silence is how long a connection may say nothing before it is asked, and then not answer.
const silence = 30 * time.Second

// maxFrame is the largest HTTP/2 frame that is taken: a piece of a file in one, not in four.
const maxFrame = 128 << 10

// client speaks to one gateway. It may be used by any number of goroutines.
type client struct {
	sessions   sandgatev1connect.SessionServiceClient
	identity   sandgatev1connect.IdentityServiceClient
	usage      sandgatev1connect.UsageServiceClient
	tools      sandgatev1connect.ToolServiceClient
	python     sandgatev1connect.PythonServiceClient
	processes  sandgatev1connect.ProcessServiceClient
	files      sandgatev1connect.FileServiceClient
	workspaces sandgatev1connect.WorkspaceServiceClient
	calls      sandgatev1connect.CallServiceClient
	operator   sandgatev1connect.OperatorServiceClient
}

// client returns a client of the gateway that the command line or the environment names. Nothing
// is sent yet.
func (a *app) client() (*client, error) {
	base, err := serverURL(a.server, a.env)
	if err != nil {
		return nil, err
	}
	key := a.env.Get(keyVariable)
	if key != "" && !fitForHeader(key) {
		return nil, usagef("%s does not hold a key: it has spaces, or characters that no key has", keyVariable)
	}
	secured, err := a.clientTLS()
	if err != nil {
		return nil, err
	}
	return newClient(base, key, secured), nil
}

// keyVariable names the environment variable of the key, or of a token that stands for one. There is no flag: other users of a machine
// see the arguments of its programs.
const keyVariable = "SANDGATE_KEY"

// fitForHeader tells whether a text is printable ASCII without spaces.
func fitForHeader(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// bearer adds the key to every request. It is not an interceptor, as those see no redirect: the
// key goes to the gateway that was named and to nobody else.
type bearer struct {
	key  string
	host string
	next http.RoundTripper
}

// RoundTrip sends a request.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.key != "" && r.URL.Host == b.host {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.key)
	}
	return b.next.RoundTrip(r)
}

// newClient returns a client of the gateway at a base URL, with a key unless that is empty, and with
// TLS of its own unless that is nil.
func newClient(base, key string, secured *tls.Config) *client {
	transport := newTransport(secured)
	if strings.HasPrefix(base, "http://") {
		// Without TLS there is no negotiation. HTTP/2 is chosen because a refused upload is then
		// told at once, while HTTP/1 may only see its connection cut.
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	var sending http.RoundTripper = transport
	if u, err := url.Parse(base); err == nil && key != "" {
		sending = bearer{key: key, host: u.Host, next: transport}
	}
	return newClientOver(&http.Client{Transport: sending}, base)
}

// newClientOver returns a client whose requests go by an HTTP client of the caller's.
func newClientOver(httpClient connect.HTTPClient, base string) *client {
	options := connect.WithClientOptions(
		connect.WithReadMaxBytes(maxReplyBytes),
		connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithInterceptors(messageGuard{}),
	)
	return &client{
		sessions:   sandgatev1connect.NewSessionServiceClient(httpClient, base, options),
		identity:   sandgatev1connect.NewIdentityServiceClient(httpClient, base, options),
		usage:      sandgatev1connect.NewUsageServiceClient(httpClient, base, options),
		tools:      sandgatev1connect.NewToolServiceClient(httpClient, base, options),
		python:     sandgatev1connect.NewPythonServiceClient(httpClient, base, options),
		processes:  sandgatev1connect.NewProcessServiceClient(httpClient, base, options),
		files:      sandgatev1connect.NewFileServiceClient(httpClient, base, options),
		workspaces: sandgatev1connect.NewWorkspaceServiceClient(httpClient, base, options),
		calls:      sandgatev1connect.NewCallServiceClient(httpClient, base, options),
		operator:   sandgatev1connect.NewOperatorServiceClient(httpClient, base, options),
	}
}

// serverURL chooses the gateway: the flag, else the environment, else the default.
func serverURL(flag string, env config.Env) (string, error) {
	raw := flag
	if raw == "" {
		raw = env.Get("SANDGATE_SERVER")
	}
	if raw == "" {
		raw = "http://" + config.DefaultListen
	}
	u, err := url.Parse(raw)
	if err == nil && u.User != nil {
		// Not repeated here: it may be a password. And http://known.example@evil/ means evil.
		return "", usagef("the server's URL must have no user before its host, as in http://%s", config.DefaultListen)
	}
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", usagef("the server %q must be a URL such as http://%s", raw, config.DefaultListen)
	}
	return strings.TrimRight(raw, "/"), nil
}
