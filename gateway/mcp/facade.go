package mcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// Options say what a façade stands on. Tools and Sessions must be set.
type Options struct {
	// Tools and Sessions are clients of Sandgate's API. Each call carries the Authorization header
	// of the request that it is made for.
	Tools    sandgatev1connect.ToolServiceClient
	Sessions sandgatev1connect.SessionServiceClient
	// Version is the program's, as it tells clients.
	Version string
	// Templates are those that an HTTP client may ask for with `?template=`, the default one first.
	// Empty: it may ask for none, and the API chooses.
	Templates []string
	// Lease is how long a sandbox stays that nobody uses, at most 24 h. An MCP session lives twice as
	// long, so that a model that comes back late is told that its state is gone. Zero means 30 min.
	Lease time.Duration
	// MaxSessions bounds the MCP sessions over HTTP. Zero means 256.
	MaxSessions int
	// MaxCalls bounds the calls that one MCP session has in flight. Zero means 16.
	MaxCalls int
	// Authenticate says who sends a request or why it may not come in, before anything of it is read.
	// An error of code Unauthenticated becomes status 401 with a pointer to [Facade.Metadata]. Nil:
	// everyone may, and is who their Authorization header says.
	Authenticate func(*http.Request) (gateway.Caller, error)
	// AuthorizationServers are the issuers whose tokens the API takes, as URLs. May be empty.
	AuthorizationServers []string
	// Scopes are those that a token may need, for clients to ask for. May be empty.
	Scopes []string
	// BaseURL is where clients find the gateway, such as `https://sandgate.example`. Empty: what a
	// request's own Host and TLS say.
	BaseURL string
	// Hint says what to do about an error of Tools or Sessions, in the place of what the API says. Empty
	// for one: the API's own is told. Nil: so it is for all.
	Hint func(error) string
	// Logger gets what no client is told. Nil means slog.Default.
	Logger *slog.Logger
}

// Defaults of Options.
const (
	defaultLease       = 30 * time.Minute
	defaultMaxSessions = 256
	defaultMaxCalls    = 16
)

// A Facade serves MCP. Its methods may be called by any number of goroutines.
type Facade struct {
	opts     Options
	sessions *table
	visits   visits
	implicit *sdk.Server  // whose sessions have a sandbox each
	explicit *sdk.Server  // whose callers name a sandbox
	stateful http.Handler // of implicit
	single   http.Handler // of explicit
	log      *slog.Logger

	drained chan struct{} // closed by Drain
	drain   sync.Once
	work    sync.WaitGroup // the watchers of HTTP's sessions
}

// New returns a façade. It starts nothing; Close ends what its clients have started.
func New(opts Options) (*Facade, error) {
	if opts.Tools == nil || opts.Sessions == nil {
		return nil, errors.New("an MCP façade needs clients of ToolService and SessionService")
	}
	opts.Lease = cmp.Or(opts.Lease, defaultLease)
	opts.MaxSessions = cmp.Or(opts.MaxSessions, defaultMaxSessions)
	opts.MaxCalls = cmp.Or(opts.MaxCalls, defaultMaxCalls)
	opts.Version = cmp.Or(opts.Version, "unknown")
	f := &Facade{opts: opts, sessions: newTable(opts.MaxSessions), log: opts.Logger, drained: make(chan struct{})}
	if f.log == nil {
		f.log = slog.Default()
	}
	f.implicit = f.newServer(fmt.Sprintf("All tools work in one sandbox that is yours. What a call leaves there stays "+
		"for the next: variables, files in /home/user, programs. When nobody has used it for %v it ends, and you are told.", opts.Lease))
	f.explicit = f.newServer("All tools work in a sandbox that you name. Call " + createTool + " once, and pass the session_id that it " +
		"returns with every other call: variables, files in /home/user and programs stay from call to call. Call " + deleteTool + " in the end.")
	f.stateful = sdk.NewStreamableHTTPHandler(f.serverFor(f.implicit), &sdk.StreamableHTTPOptions{
		SessionTimeout:      2 * opts.Lease,
		MaxRequestBodyBytes: maxBody,
		// The gateway's doors know which names are its own. This would refuse those that its
		// operator has allowed.
		DisableLocalhostProtection: true,
	})
	f.single = sdk.NewStreamableHTTPHandler(f.serverFor(f.explicit), &sdk.StreamableHTTPOptions{
		Stateless:                  true,
		MaxRequestBodyBytes:        maxBody,
		DisableLocalhostProtection: true,
	})
	return f, nil
}

// maxBody bounds a request's body, in bytes: what the API takes of a message.
const maxBody = gateway.MaxMessageBytes

// newServer makes the protocol's side of the façade.
func (f *Facade) newServer(instructions string) *sdk.Server {
	server := sdk.NewServer(
		&sdk.Implementation{Name: "sandgate", Title: "Sandgate", Version: f.opts.Version},
		&sdk.ServerOptions{Instructions: instructions, Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}}},
	)
	server.AddTool(&sdk.Tool{Name: anyTool, InputSchema: objectSchema(nil)}, func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		if meant, ok := ctx.Value(callKey{}).(*sdk.CallToolRequest); ok {
			req = meant
		}
		return f.call(ctx, req)
	})
	server.AddReceivingMiddleware(f.answer)
	return server
}

// anyTool is the one tool that the SDK knows of. It stands for those of the catalogue, which are not
// registered with the SDK, as which of them there are may depend on who asks; but the SDK writes a
// result as its revision wants only where it knows the tool.
const anyTool = "any"

// callKey is the key of the call that is meant in the context of a call of anyTool.
type callKey struct{}

func (f *Facade) serverFor(server *sdk.Server) func(*http.Request) *sdk.Server {
	return func(*http.Request) *sdk.Server { return server }
}

// answer takes what concerns tools; the SDK does the rest of the protocol.
func (f *Facade) answer(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (res sdk.Result, err error) {
		defer func() {
			if value := recover(); value != nil { // the SDK would let it end the process
				f.log.ErrorContext(ctx, "panic", "method", method, "value", value, "stack", string(debug.Stack()))
				res, err = nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "internal error"}
			}
		}()
		switch req := req.(type) {
		case *sdk.ListToolsRequest:
			return f.list(ctx, req)
		case *sdk.CallToolRequest:
			known, params := *req, *req.Params
			params.Name = anyTool
			known.Params = &params
			return next(context.WithValue(ctx, callKey{}, req), method, &known)
		}
		if method == "initialize" {
			if err := f.begin(ctx, req.GetSession()); err != nil {
				return nil, err
			}
		}
		return next(ctx, method, req)
	}
}

// begin files a session that came over HTTP, so that its next request finds it.
func (f *Facade) begin(ctx context.Context, wire sdk.Session) error {
	s := sessionFrom(ctx)
	connected, ok := wire.(*sdk.ServerSession)
	if s == nil || !s.remote || !ok {
		return nil
	}
	s.wire = connected
	if err := f.sessions.add(s); err != nil {
		return err
	}
	f.work.Go(func() { f.watch(s) })
	return nil
}

// watch waits for the end of an MCP session, whatever ends it, and ends what stands behind it.
func (f *Facade) watch(s *session) {
	defer close(s.gone)
	_ = s.wire.Wait() // how it ended is its client's affair
	f.sessions.remove(s)
	s.end()
	f.leave(s)
}

// leave gives the sandbox behind a session back. It goes on trying while the gateway has no place for a
// call: the ones that were just cancelled may not have left theirs.
func (f *Facade) leave(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	err := s.place.Close(ctx)
	for connect.CodeOf(err) == connect.CodeResourceExhausted && ctx.Err() == nil {
		select {
		case <-time.After(leaveAgain):
			err = s.place.Close(ctx)
		case <-ctx.Done():
		}
	}
	if reason, _ := detailOf(err); reason == gateway.ReasonDraining {
		return // the gateway ends with all its sessions
	}
	if err != nil {
		f.log.WarnContext(ctx, "a sandbox was not deleted; it ends with its lease", "err", connect.CodeOf(err).String())
	}
}

// Bounds of the deletion of one Sandgate session.
const (
	leaveTimeout = 15 * time.Second
	leaveAgain   = 100 * time.Millisecond
)

// Drain ends what would wait for ever: the streams on which nothing but events of the server's come,
// each when the requests of its session are answered.
func (f *Facade) Drain() { f.drain.Do(func() { close(f.drained) }) }

// Close ends every session and waits until what stands behind it is given back, or ctx ends. Nothing
// may be served any more.
func (f *Facade) Close(ctx context.Context) error {
	f.Drain()
	for _, s := range f.sessions.close() {
		s.end()
		f.work.Go(func() { _ = s.wire.Close() }) // the watcher sees to the rest
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end the MCP sessions: %w", ctx.Err())
	}
}
