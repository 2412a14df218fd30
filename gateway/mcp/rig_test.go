package mcp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The revisions whose clients are tried: the last one with sessions, and the one without.
const (
	legacy = "2025-11-25"
	modern = stateless
)

// box is a sandbox with nothing in it.
type box struct {
	id   string
	spec sandbox.Spec
	done chan struct{}
	once sync.Once
	err  error // read after done
}

func (b *box) ID() string                   { return b.id }
func (b *box) Spec() sandbox.Spec           { return b.spec }
func (b *box) Transport() http.RoundTripper { return http.DefaultTransport }
func (b *box) Done() <-chan struct{}        { return b.done }
func (b *box) Close(context.Context) error  { b.die(sandbox.ErrClosed); return nil }

func (b *box) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

func (b *box) die(err error) {
	b.once.Do(func() {
		b.err = err
		close(b.done)
	})
}

// engine is a driver of boxes.
type engine struct {
	mu    sync.Mutex
	boxes []*box
	fail  error
	gate  chan struct{} // where it is not nil, each creation waits for it
}

func (e *engine) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if e.gate != nil {
		select {
		case <-e.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return nil, e.fail
	}
	b := &box{id: fmt.Sprintf("box-%d", len(e.boxes)), spec: spec, done: make(chan struct{})}
	e.boxes = append(e.boxes, b)
	return b, nil
}

func (e *engine) all() []*box {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*box(nil), e.boxes...)
}

// open counts the boxes that have not ended.
func (e *engine) open() int {
	n := 0
	for _, b := range e.all() {
		if b.Err() == nil {
			n++
		}
	}
	return n
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

// rig is a real gateway with a façade on it. Its sandboxes are empty, and its Python is a few words.
type rig struct {
	engine   *engine
	sessions *gateway.Sessions
	server   *gateway.Server
	facade   *Facade
	url      string
	log      *logBuffer
	runs     chan struct{} // gets one for each run that begins to wait
	ended    chan error    // gets why each run that waited ended
	goOn     chan struct{} // closed by the test
}

func newRig(tb testing.TB, change func(*Options, *gateway.Options)) *rig {
	tb.Helper()
	g := &rig{engine: &engine{}, log: &logBuffer{}, runs: make(chan struct{}, 100), ended: make(chan error, 100), goOn: make(chan struct{})}
	logger := slog.New(slog.NewJSONHandler(g.log, nil))
	db, err := store.Open(tb.Context(), store.Options{Source: filepath.Join(tb.TempDir(), "sessions.db")})
	if err != nil {
		tb.Fatal(err)
	}
	g.sessions, err = gateway.NewSessions(gateway.SessionOptions{
		Driver: g.engine, Store: db, Runtime: "runc", Templates: []string{"python", "data"}, Logger: logger,
	})
	if err != nil {
		tb.Fatal(err)
	}
	registry := gateway.NewRegistry()
	g.sessions.Register(registry)
	g.register(registry)
	client := &loopback.Client{From: identity.Inside}
	opts := Options{
		Tools:     sandgatev1connect.NewToolServiceClient(client, "http://localhost"),
		Sessions:  sandgatev1connect.NewSessionServiceClient(client, "http://localhost"),
		Templates: []string{"python", "data"}, Version: "v1", Logger: logger,
	}
	gatewayOpts := gateway.Options{Registry: registry, Sessions: g.sessions, Logger: logger}
	if change != nil {
		change(&opts, &gatewayOpts)
	}
	if g.server, err = gateway.NewServer(gatewayOpts); err != nil {
		tb.Fatal(err)
	}
	client.Handler = g.server.Handler()
	if g.facade, err = New(opts); err != nil {
		tb.Fatal(err)
	}
	g.server.Mount("/mcp", g.facade)
	g.server.Mount(MetadataPath, g.facade.Metadata())
	g.server.Mount(MetadataPath+"/mcp", g.facade.Metadata())
	g.server.OnDrain(g.facade.Drain)
	g.serve(tb, db)
	return g
}

// serve serves until the end of the test, and wants nothing to be left then.
func (g *rig) serve(tb testing.TB, db *store.DB) {
	tb.Helper()
	listener, err := gateway.Listen(tb.Context(), "127.0.0.1:0", true)
	if err != nil {
		tb.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.server.Serve(listener) }()
	g.url = "http://" + listener.Addr().String()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, end := range []func(context.Context) error{g.server.Shutdown, g.facade.Close, g.sessions.Close} {
			if err := end(ctx); err != nil {
				tb.Error(err)
			}
		}
		if err := <-served; err != nil {
			tb.Error(err)
		}
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
		if n := g.engine.open(); n != 0 {
			tb.Errorf("%d sandboxes are left", n)
		}
	})
}

// register registers RPCs that act as their arguments say.
func (g *rig) register(r *gateway.Registry) {
	gateway.Stream(r, sandgatev1connect.PythonServiceRunProcedure, g.python)
	r.Render("python_run", func() gateway.Renderer { return &renderer{} })
	gateway.Unary(r, sandgatev1connect.FileServiceReadProcedure, func(ctx context.Context, req *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error) {
		if _, err := g.sessions.Sandbox(ctx, req.GetSessionId()); err != nil {
			return nil, err
		}
		if req.GetPath() == "none" {
			return nil, gateway.Errorf(connect.CodeNotFound, "FILE_NOT_FOUND", "List the directory to see what there is.", "no such file: none")
		}
		return &sandgatev1.ReadResponse{Content: &sandgatev1.ReadResponse_Text{Text: "text"}, TotalSize: 4}, nil
	})
}

// python obeys its code: a word and what it is about.
func (g *rig) python(ctx context.Context, req *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
	held, err := g.sessions.Sandbox(ctx, req.GetSessionId())
	if err != nil {
		return err
	}
	result := &sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_OK}
	word, about, _ := strings.Cut(req.GetCode(), " ")
	switch word {
	case "box":
		err = sendText(send, held.ID()+" "+held.Spec().Template)
	case "wait":
		g.runs <- struct{}{}
		<-ctx.Done()
		g.ended <- context.Cause(ctx)
		return ctx.Err()
	case "lines":
		count, _ := strconv.Atoi(about)
		for i := range count {
			if err := sendText(send, fmt.Sprintf("line %d\n", i)); err != nil {
				return err
			}
		}
	case "silent": // until the test lets it go on
		g.runs <- struct{}{}
		<-g.goOn
	case "picture":
		err = send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Display{Display: &sandgatev1.Display{Png: []byte("PNG")}}})
	case "status":
		result.Status = sandgatev1.Status(sandgatev1.Status_value["STATUS_"+about])
	case "gone":
		return connect.NewError(connect.CodeCanceled, context.Canceled)
	case "panic":
		panic(about)
	}
	if err != nil {
		return err
	}
	return send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Result{Result: result}})
}

func sendText(send func(*sandgatev1.RunResponse) error, text string) error {
	return send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Stdout{Stdout: &sandgatev1.Output{Data: []byte(text)}}})
}

// renderer shows outputs and pictures as they came.
type renderer struct{ content []*sandgatev1.Content }

func (r *renderer) Add(message proto.Message) {
	event, ok := message.(*sandgatev1.RunResponse)
	switch {
	case !ok:
	case event.GetStdout() != nil:
		r.content = append(r.content, &sandgatev1.Content{Part: &sandgatev1.Content_Text{Text: string(event.GetStdout().GetData())}})
	case event.GetDisplay() != nil:
		r.content = append(r.content, &sandgatev1.Content{Part: &sandgatev1.Content_Image{
			Image: &sandgatev1.Image{MimeType: "image/png", Data: event.GetDisplay().GetPng()},
		}})
	}
}

func (r *renderer) Content() []*sandgatev1.Content { return r.content }
