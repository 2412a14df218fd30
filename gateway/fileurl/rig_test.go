package fileurl_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/fileurl"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a gateway with keys whose files are a map.
type rig struct {
	*files

	db       *store.DB
	pepper   identity.Pepper
	ring     *identity.Keyring
	ledger   *quota.Ledger
	sealer   *fileurl.Sealer
	server   *gateway.Server
	sessions *gateway.Sessions
	api      connect.HTTPClient
	url      string // HTTP/1.1, and HTTP/2 without TLS
	tls      *httptest.Server
	log      *logBuffer
	audit    *audit.Log
	auditDir string
}

func newRig(t *testing.T, change func(*gateway.Options)) *rig {
	t.Helper()
	g := &rig{pepper: identity.NewPepper(), log: &logBuffer{}, auditDir: t.TempDir()}
	log := slog.New(slog.NewJSONHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	g.db, err = store.Open(t.Context(), store.Options{Source: filepath.Join(t.TempDir(), "s.db")})
	must(err)
	t.Cleanup(func() { _ = g.db.Close() })
	g.ring, err = identity.NewKeyring(t.Context(), g.db, g.pepper, log)
	must(err)
	t.Cleanup(g.ring.Close)
	g.ledger, err = quota.NewLedger(t.Context(), g.db, g.ring, log)
	must(err)
	t.Cleanup(g.ledger.Close)
	g.audit, err = audit.Open(t.Context(), audit.Options{Dir: g.auditDir, Logger: log})
	must(err)
	t.Cleanup(func() { _ = g.audit.Close(context.Background()) })
	g.sessions, err = gateway.NewSessions(gateway.SessionOptions{
		Driver: sandbox.DriverFunc(newBox), Store: g.db, Accounts: g.ledger, Audit: g.audit, Runtime: "runsc", Templates: []string{"python"}, Logger: log,
	})
	must(err)
	t.Cleanup(func() { _ = g.sessions.Close(context.Background()) })
	g.sealer, err = fileurl.NewSealer(g.pepper)
	must(err)
	g.files = &files{sessions: g.sessions, content: map[string][]byte{}, ended: make(chan error, 100)}
	gate := identity.NewGate(g.ring)
	registry := gateway.NewRegistry()
	g.sessions.Register(registry)
	gateway.RegisterFileURLs(registry, gate, g.sessions, g.files, g.sealer)
	gateway.Stream(registry, sandgatev1connect.FileServiceDownloadProcedure, g.Download)
	gateway.ClientStream(registry, sandgatev1connect.FileServiceUploadProcedure, g.Upload)
	options := gateway.Options{Registry: registry, Sessions: g.sessions, Authenticator: gate, Accounts: g.ledger, Audit: g.audit, Logger: log}
	if change != nil {
		change(&options)
	}
	g.server, err = gateway.NewServer(options)
	must(err)
	g.api = &loopback.Client{Handler: g.server.Handler(), From: identity.Inside}
	handler := fileurl.New(fileurl.Options{
		Sealer: g.sealer, Authenticate: g.server.Admit, Logger: log,
		Files: sandgatev1connect.NewFileServiceClient(g.api, "http://localhost", connect.WithAcceptCompression("gzip", nil, nil)),
	})
	g.server.MountBearing(fileurl.Prefix, handler, handler.Authorization)
	plain := httptest.NewUnstartedServer(g.server.Handler())
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	t.Cleanup(plain.Close)
	g.url = plain.URL
	g.tls = httptest.NewUnstartedServer(g.server.Handler())
	g.tls.EnableHTTP2 = true
	g.tls.StartTLS()
	t.Cleanup(g.tls.Close)
	return g
}

// key makes a key that the gateway knows when it returns.
func (g *rig) key(t *testing.T, grant identity.Grant) (id, text string) {
	t.Helper()
	known := identity.Known{Scopes: []string{"files", "sessions"}}
	key, text, err := identity.NewKey(g.pepper, grant, known, time.Now())
	if err == nil {
		err = g.db.PutKey(t.Context(), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.settle(t)
	return key.ID, text
}

// settle returns when the gateway has seen every change of the keys.
func (g *rig) settle(t *testing.T) {
	t.Helper()
	now, err := g.db.IdentityGeneration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); g.ring.Generation() != now; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not see the keys")
		}
	}
}

// as returns a context for calls with a key.
func as(ctx context.Context, key string) context.Context {
	ctx, info := connect.NewClientContext(ctx)
	if key != "" {
		info.RequestHeader().Set("Authorization", "Bearer "+key)
	}
	return ctx
}

// session makes a session with a key.
func (g *rig) session(t *testing.T, key string) string {
	t.Helper()
	res, err := sandgatev1connect.NewSessionServiceClient(g.api, "http://localhost").CreateSession(as(t.Context(), key), &sandgatev1.CreateSessionRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetSession().GetId()
}

// ask asks for an address.
func (g *rig) ask(ctx context.Context, key, session, path string, upload bool) (*sandgatev1.CreateFileURLResponse, error) {
	use := sandgatev1.FileURLUse_FILE_URL_USE_DOWNLOAD
	if upload {
		use = sandgatev1.FileURLUse_FILE_URL_USE_UPLOAD
	}
	return sandgatev1connect.NewFileServiceClient(g.api, "http://localhost").CreateFileURL(as(ctx, key), &sandgatev1.CreateFileURLRequest{
		SessionId: session, Path: path, Use: use, Lifetime: durationpb.New(time.Hour),
	})
}

// address returns the path of an address.
func (g *rig) address(t *testing.T, key, session, path string, upload bool) string {
	t.Helper()
	res, err := g.ask(t.Context(), key, session, path, upload)
	if err != nil {
		t.Fatal(err)
	}
	return res.GetPath()
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of the body
}

// fetch sends a request to the plain port over HTTP/1.1.
func (g *rig) fetch(t *testing.T, method, path string, body io.Reader, header ...string) reply {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	return fetch(t, client, method, g.url+path, body, header...)
}

func fetch(t *testing.T, client *http.Client, method, url string, body io.Reader, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text), err}
}

// says tells whether a reply is an error with a status and a reason.
func (r reply) says(status int, reason string) bool {
	return r.status == status && strings.Contains(r.body, `"reason":"`+reason+`"`) && strings.Contains(r.body, `"hint":"`)
}

// metrics returns the page of the metrics.
func (g *rig) metrics(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.server.ServeMetrics(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(g.server.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return fetch(t, client, http.MethodGet, "http://"+listener.Addr().String()+"/metrics", nil).body
}

// output returns how many bytes of replies a tenant has got.
func (g *rig) output(tenant string) int64 { return g.ledger.Account(tenant).Used()[quota.Output] }

// uploaded wants an upload to have ended well.
func (g *rig) uploaded(t *testing.T) {
	t.Helper()
	if err := <-g.ended; err != nil {
		t.Error(err)
	}
}

// kept ends the audit log and returns all that is in it.
func (g *rig) kept(t *testing.T) string {
	t.Helper()
	if err := g.audit.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	entries, err := filepath.Glob(filepath.Join(g.auditDir, "*.jsonl"))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, name := range entries {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// logBuffer is a log that tests read.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
