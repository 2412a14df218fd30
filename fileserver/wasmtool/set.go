package wasmtool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// lookEvery is how often the folder is looked at.
	lookEvery = 2 * time.Second
	// maxRunning are how many calls hold files and run at once; the others wait. Whose turn it is among tenants is
	// for the gateway to say.
	maxRunning = 4
)

// Options say what a [Set] stands on. Folder must be set.
type Options struct {
	// Folder holds the tools. Nobody but its owner and their group may write to it.
	Folder string
	// CacheDir keeps what is compiled, for the gateways after this one. It must be the host's own and hold nothing
	// else: what is in there runs as the host's own code. Empty: nothing is kept.
	CacheDir string
	// Sessions finds the session of a call, and Files its files. Nil: tools that take files cannot be called.
	Sessions guestrpc.Sandboxes
	Files    Files
	// Reserved tells which names are taken. Nil: none but those that begin as the gateway's own do.
	Reserved func(name string) bool
	// Logger is told what is picked up, and what is refused and why. Nil means slog.Default.
	Logger *slog.Logger
}

// A Set are the tools of a folder, as it is now: it is looked at every two seconds. Its methods may be called by any
// number of goroutines. Close must be called.
type Set struct {
	opts   Options
	host   *wasm.Host
	root   *os.Root
	places chan struct{}
	now    atomic.Pointer[shelf]
	stop   context.CancelFunc
	work   sync.WaitGroup

	seen map[string]entry // by name; of the one goroutine that looks
}

// shelf are the tools at one moment.
type shelf struct {
	byName map[string]*tool
	sorted []*sandgatev1.Tool
}

// A Problem is why something in a folder is no tool.
type Problem struct {
	// Name is the tool's, or the file's.
	Name string
	Err  error
}

// Open returns the tools of a folder, which it reads and compiles first. What is wrong with single tools is logged,
// and they are not there; an error is about the folder.
func Open(ctx context.Context, opts Options) (*Set, error) {
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	root, err := openFolder(opts.Folder)
	if err != nil {
		return nil, err
	}
	if err := boundCache(opts.CacheDir); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	host, err := wasm.NewHost(opts.CacheDir)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	within, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Set{opts: opts, host: host, root: root, places: make(chan struct{}, maxRunning), stop: stop, seen: map[string]entry{}}
	s.now.Store(&shelf{})
	s.look(ctx, true)
	s.work.Go(func() { s.watch(within) })
	return s, nil
}

// Close ends what runs, and frees the tools.
func (s *Set) Close() error {
	s.stop()
	s.work.Wait()
	return errors.Join(s.host.Close(), s.root.Close())
}

// Tools returns the tools that there are now, sorted by name. They must not be changed.
func (s *Set) Tools() []*sandgatev1.Tool { return s.now.Load().sorted }

// Tool returns the tool of a name, nil for none. It must not be changed.
func (s *Set) Tool(name string) *sandgatev1.Tool {
	if tool := s.tool(name); tool != nil {
		return tool.proto
	}
	return nil
}

func (s *Set) tool(name string) *tool { return s.now.Load().byName[name] }

// problems returns what is wrong with the folder, sorted by name. It is for [Check]: where a folder is watched, the
// watcher alone knows what was seen.
func (s *Set) problems() []Problem {
	var out []Problem
	for name, e := range s.seen {
		if e.err != nil {
			out = append(out, Problem{Name: name, Err: e.err})
		}
	}
	slices.SortFunc(out, func(a, b Problem) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Call calls the tool that a request names, in the request's session where it takes files. Errors are
// *connect.Errors, but for faults of the gateway's own.
func (s *Set) Call(ctx context.Context, req *sandgatev1.CallToolRequest) (*sandgatev1.CallToolResponse, error) {
	called := s.tool(req.GetName())
	for called != nil && !called.enter() { // it was replaced just now
		called = s.tool(req.GetName())
	}
	if called == nil {
		return nil, errUnknown(req.GetName())
	}
	defer called.leave()
	var files Workspace
	if called.takesFiles() {
		if s.opts.Sessions == nil || s.opts.Files == nil {
			return nil, fmt.Errorf("%s takes files, and there are no sessions", called.name)
		}
		if _, err := s.opts.Sessions.Sandbox(ctx, req.GetSessionId()); err != nil { // before anything is waited for
			return nil, err
		}
		files = session{files: s.opts.Files, id: req.GetSessionId()}
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-ctx.Done():
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
	return called.call(ctx, files, req.GetArguments())
}

// watch looks at the folder until ctx ends.
func (s *Set) watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.look(ctx, false)
		case <-ctx.Done():
			return
		}
	}
}
