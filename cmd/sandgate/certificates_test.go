package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/identity/mtls"
	"github.com/sandgate/sandgate/gateway/identity/mtls/mtlstest"
)

// secured is a gateway that serves TLS on a loopback port and knows an authority and an issuer.
type secured struct {
	*wired
	authority *mtlstest.Authority
	issuer    *issuer
	url, ca   string // ca is the file of the authority that vouches for the server
	roots     *x509.CertPool
	folder    string
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	known, err := config.Known()
	if err != nil {
		t.Fatal(err)
	}
	s := &secured{authority: mtlstest.New(t, "clients"), issuer: newIssuer(t), roots: x509.NewCertPool(), folder: t.TempDir()}
	servers := mtlstest.New(t, "servers")
	s.roots.AddCert(servers.Certificate)
	s.ca = filepath.Join(s.folder, "servers.pem")
	clients := filepath.Join(s.folder, "clients.pem")
	for file, data := range map[string][]byte{s.ca: servers.PEM, clients: s.authority.PEM} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := &config.Config{
		OIDC: s.issuer.trusted(), ClientCAFile: clients,
		ClientCerts: []mtls.Rule{{URI: "spiffe://example.org/agent/*", Tenant: "acme", Scopes: known.Scopes}},
	}
	cfg.TLSCert, cfg.TLSKey = servers.Issue(t, time.Hour).Write(t, s.folder, "server")
	s.wired = newWiredFor(t, cfg)
	parts := &gatewayParts{cfg: cfg, keys: s.keys, server: s.server, log: slog.New(slog.DiscardHandler)}
	if err := parts.mountMCP(); err != nil {
		t.Fatal(err)
	}
	listener, err := gateway.Listen(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := parts.undo.run(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// bearing adds an Authorization to each request.
type bearing struct {
	token string
	next  http.RoundTripper
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

// client returns one with a certificate, nil for none, and a token, empty for none.
func (s *secured) client(t *testing.T, issued *mtlstest.Issued, token string) *http.Client {
	t.Helper()
	cfg := &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if issued != nil {
		cfg.Certificates = []tls.Certificate{issued.Pair(t)}
	}
	transport := newTransport(cfg)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: bearing{token, transport}, Timeout: 20 * time.Second}
}

// who asks the gateway who a client is. It returns the status, the tenant and the id, and the whole body.
func (s *secured) who(t *testing.T, client *http.Client) (status int, tenant, id, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+procedureOf(method(t, "WhoAmI")), strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	reply, err := client.Do(request)
	if err != nil {
		return 0, "", "", err.Error()
	}
	defer func() { _ = reply.Body.Close() }()
	raw, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Principal struct{ Tenant, ID string } }
	if err := json.Unmarshal(raw, &said); err != nil {
		t.Fatalf("%s: %s", err, raw)
	}
	return reply.StatusCode, said.Principal.Tenant, said.Principal.ID, string(raw)
}

// TestClientCertificates is the table of certificates and tokens, over real handshakes.
func TestClientCertificates(t *testing.T) {
	s := newSecured(t)
	issue := func(a *mtlstest.Authority, life time.Duration, uris ...string) *mtlstest.Issued {
		issued := a.Issue(t, life, uris...)
		return &issued
	}
	const agent = "spiffe://example.org/agent/7"
	ours, nobodys := issue(s.authority, time.Hour, agent), issue(s.authority, time.Hour, "spiffe://example.org/db")
	acmeID, acme := s.key(t, identity.Grant{Tenant: "acme"})
	otherID, other := s.key(t, identity.Grant{Tenant: "other"})
	jwt, foreign := s.issuer.token(t, nil), s.issuer.token(t, map[string]any{"org": "other"})
	subject := "oidc:" + strings.TrimPrefix(s.issuer.URL, "http://") + "#ann"
	_, _, _, nothing := s.who(t, s.client(t, nil, ""))
	_, _, _, stranger := s.who(t, s.client(t, nil, "whoever"))
	for name, tt := range map[string]struct {
		cert       *mtlstest.Issued
		token      string
		tenant, id string
		body       string // of a refusal
	}{
		"a certificate":                     {cert: ours, tenant: "acme", id: "mtls:" + agent},
		"a certificate of nobody":           {cert: nobodys, body: nothing},
		"a certificate of two URIs":         {cert: issue(s.authority, time.Hour, agent, "spiffe://example.org/agent/8"), body: nothing},
		"a key":                             {token: acme, tenant: "acme", id: acmeID},
		"a token":                           {token: jwt, tenant: "acme", id: subject},
		"both, and the key decides":         {cert: ours, token: acme, tenant: "acme", id: acmeID},
		"both, and the token decides":       {cert: ours, token: jwt, tenant: "acme", id: subject},
		"a key of another tenant":           {cert: ours, token: other, body: stranger},
		"a token of another tenant":         {cert: ours, token: foreign, body: stranger},
		"a certificate and a bad token":     {cert: ours, token: jwt + "x", body: stranger},
		"nobody's certificate, but a key":   {cert: nobodys, token: other, tenant: "other", id: otherID},
		"nobody's certificate, but a token": {cert: nobodys, token: foreign, tenant: "other", id: subject},
	} {
		status, tenant, id, body := s.who(t, s.client(t, tt.cert, tt.token))
		want := http.StatusOK
		if tt.body != "" {
			want = http.StatusUnauthorized
		}
		if status != want || tenant != tt.tenant || id != tt.id || tt.body != "" && body != tt.body {
			t.Errorf("%s: %d %q %q %s", name, status, tenant, id, body)
		}
	}
	for name, cert := range map[string]*mtlstest.Issued{
		"of another authority, of the same name": issue(mtlstest.New(t, "clients"), time.Hour, agent),
		"that has run out":                       issue(s.authority, -time.Second, agent),
	} {
		client := s.client(t, cert, acme)
		present(client, cert.Pair(t)) // even one that the gateway does not ask for
		if status, _, _, text := s.who(t, client); status != 0 {
			t.Errorf("a certificate %s: %d %s", name, status, text)
		}
	}
}

// present has a client show a certificate whatever authorities the gateway names.
func present(client *http.Client, pair tls.Certificate) {
	if b, ok := client.Transport.(bearing); ok {
		if transport, ok := b.next.(*http.Transport); ok {
			transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
	}
}

// TestMCPByCertificate uses the tools as an MCP client that has nothing but a certificate, and learns from
// the metadata whom to ask for a token.
func TestMCPByCertificate(t *testing.T) {
	s := newSecured(t)
	ours := s.authority.Issue(t, time.Hour, "spiffe://example.org/agent/7")
	other := s.authority.Issue(t, time.Hour, "spiffe://example.org/agent/8")
	client := s.client(t, &ours, "")
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test"}, nil).Connect(t.Context(), &sdk.StreamableClientTransport{
		Endpoint: s.url + mcpPath, HTTPClient: client,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) == 0 {
		t.Fatalf("%v, %v", tools, err)
	}
	got, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "file_list", Arguments: map[string]any{}})
	if err != nil {
		t.Fatalf("a tool: %v", err)
	}
	if text, _ := json.Marshal(got); strings.Contains(string(text), "UNAUTHENTICATED") || strings.Contains(string(text), "unauthenticated") {
		t.Errorf("a tool: %s", text)
	}
	if id := session.ID(); id != "" {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.url+mcpPath, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Mcp-Session-Id", id)
		reply, err := s.client(t, &other, "").Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = reply.Body.Close()
		if reply.StatusCode != http.StatusNotFound {
			t.Errorf("the session of one certificate, by another: %d", reply.StatusCode)
		}
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/.well-known/oauth-protected-resource/mcp", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	var said struct {
		Servers []string `json:"authorization_servers"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&said); err != nil || !slices.Equal(said.Servers, []string{s.issuer.URL}) {
		t.Errorf("the metadata name %v, %v", said.Servers, err)
	}
}

// TestClientFlags has the program say who it is, by a certificate and by a token, from flags and from the
// environment.
func TestClientFlags(t *testing.T) {
	s := newSecured(t)
	cert, key := s.authority.Issue(t, time.Hour, "spiffe://example.org/agent/7").Write(t, s.folder, "client")
	for name, tt := range map[string]struct {
		args, env []string
		code      int
		want      string
	}{
		"flags":             {args: []string{"--ca", s.ca, "--cert", cert, "--cert-key", key}, want: "mtls:spiffe://example.org/agent/7"},
		"environment":       {env: []string{"SANDGATE_CA=" + s.ca, "SANDGATE_CERT=" + cert, "SANDGATE_CERT_KEY=" + key}, want: "mtls:spiffe://example.org/agent/7"},
		"a token":           {args: []string{"--ca", s.ca}, env: []string{"SANDGATE_KEY=" + s.issuer.token(t, nil)}, want: "#ann"},
		"nothing to show":   {args: []string{"--ca", s.ca}, code: exitNotRun, want: "a key is needed"},
		"nobody to believe": {code: exitNotRun, want: "certificate"},
		"a key alone":       {args: []string{"--ca", s.ca, "--cert-key", key}, code: exitUsage, want: "go together"},
		"a wrong key":       {args: []string{"--ca", s.ca, "--cert", cert, "--cert-key", filepath.Join(s.folder, "server-key.pem")}, code: exitUsage, want: "no certificate and its key"},
		"no authorities":    {args: []string{"--ca", key}, code: exitUsage, want: "no PEM certificate"},
		"no file":           {args: []string{"--ca", "/nonexistent"}, code: exitUsage, want: "no such file"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), append([]string{"whoami"}, tt.args...), stdio{out: &out, err: &out}, append(tt.env, "SANDGATE_SERVER="+s.url))
		if code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: %d %s", name, code, out.String())
		}
	}
	var out bytes.Buffer
	if run(t.Context(), []string{"health"}, stdio{out: &out, err: &out}, []string{"SANDGATE_SERVER=" + s.url, "SANDGATE_CA=" + s.ca}); !strings.Contains(out.String(), "ready") {
		t.Errorf("health: %s", out.String())
	}
}
