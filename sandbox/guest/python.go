package guest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// defaultContext is the context that always exists.
const defaultContext = "default"

// pythonService is the guest's PythonService.
type pythonService struct {
	guest *Guest

	mu       sync.Mutex
	contexts map[string]*pythonContext // guarded by mu
}

// pythonContext is a name under which a kernel lives. The kernel may be replaced.
type pythonContext struct {
	id  string
	cwd string

	turn    chan struct{} // holds one element while a call has the kernel
	mu      sync.Mutex
	waiting int     // guarded by mu
	kernel  *kernel // set by whoever has the turn; guarded by mu
	cell    *cell   // the one that runs; guarded by mu
	gone    bool    // it was deleted; guarded by mu
	giveUp  func()  // ends the start of a kernel that is under way, nil where none is; guarded by mu
	lost    string  // why the last kernel's state is gone, until a caller was told; guarded by mu
}

func newPythonService(g *Guest) *pythonService {
	s := &pythonService{guest: g, contexts: map[string]*pythonContext{}}
	s.contexts[defaultContext] = newPythonContext(defaultContext, g.cfg.Home)
	return s
}

func newPythonContext(id, cwd string) *pythonContext {
	return &pythonContext{id: id, cwd: cwd, turn: make(chan struct{}, 1)}
}

// warm starts the default context's kernel, and returns when it can run.
func (s *pythonService) warm(ctx context.Context) error {
	c, err := s.find(defaultContext)
	if err != nil {
		return err
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.release()
	_, err = s.ensure(ctx, c)
	return err
}

// Run runs a cell.
func (s *pythonService) Run(ctx context.Context, req *sandgatev1.RunRequest, stream *connect.ServerStream[sandgatev1.RunResponse]) error {
	if err := checkTexts(req.GetEnv()); err != nil {
		return err
	}
	c, err := s.find(req.GetContextId())
	if err != nil {
		return err
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	release := sync.OnceFunc(c.release)
	defer release()
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	box := newOutbox(stream.Send, joinRun, leave)
	value, result, err := s.runIn(ctx, c, req, box)
	release()                                // a caller who reads slowly keeps nobody else waiting
	if flushErr := box.flush(); err == nil { // always: the stream is gone when this returns
		err = flushErr
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return err
	}
	announceFinal(ctx)
	if value != nil {
		if err := stream.Send(value); err != nil {
			return err
		}
	}
	return stream.Send(&sandgatev1.RunResponse{Event: &sandgatev1.RunResponse_Result{Result: result}})
}

// runIn runs a cell in the context's kernel, and returns the value of its last expression, if there
// is one, and its result. If the kernel died while it was idle, and so never had the code, the cell
// runs in a new one, and the result says that the state is gone. Code that was sent is never sent
// again: a message that was cut off is none to the kernel.
func (s *pythonService) runIn(ctx context.Context, c *pythonContext, req *sandgatev1.RunRequest, box *outbox[*sandgatev1.RunResponse]) (*sandgatev1.RunResponse, *sandgatev1.RunResult, error) {
	for attempt := 0; ; attempt++ {
		k, err := s.ensure(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		running := newCell(k, req, box)
		defer running.release()
		c.set(k, running)
		result, replace := running.run(ctx)
		c.set(k, nil)
		if replace {
			c.set(nil, nil)
			k.close()
		}
		if running.unsent && running.why == 0 && ctx.Err() == nil && attempt == 0 {
			if running.number > 1 { // else there was no state to lose
				c.setLost(result.GetNote())
			}
			continue
		}
		if replace {
			addNote(result, lostNote)
			s.guest.background.Go(func() { _ = s.warmAgain(c) })
		}
		if running.number == 1 && k.astray != "" {
			addNote(result, fmt.Sprintf("The working directory %q cannot be entered, so that Python started in %q.", c.cwd, k.astray))
		}
		if lost := c.takeLost(); lost != "" {
			result.StateLost = true
			result.Note = strings.TrimSpace("Before this call: " + lost + " " + replacedNote + " " + result.GetNote())
		}
		return running.value, result, nil
	}
}

// setLost notes that the kernel died while nobody was there to be told.
func (c *pythonContext) setLost(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = why
}

func (c *pythonContext) takeLost() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	why := c.lost
	c.lost = ""
	return why
}

// warmAgain starts a kernel in place of a dead one, so that the next call need not wait.
func (s *pythonService) warmAgain(c *pythonContext) error {
	ctx, cancel := context.WithTimeout(s.guest.ctx, kernelStart)
	defer cancel()
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.release()
	_, err := s.ensure(ctx, c)
	return err
}

// ensure returns the context's kernel, starting one if there is none that lives. The caller has
// the turn.
func (s *pythonService) ensure(ctx context.Context, c *pythonContext) (*kernel, error) {
	c.mu.Lock()
	k, gone := c.kernel, c.gone
	c.mu.Unlock()
	if gone {
		return nil, contextNotFound(c.id)
	}
	if k != nil && k.alive() {
		return k, nil
	}
	if k != nil {
		c.set(nil, nil)
		k.close()
		if k.cells > 0 {
			c.setLost("The Python process ended while it was idle.")
		}
	}
	return s.replace(ctx, c)
}

// replace gives a context a new kernel. The caller has the turn.
func (s *pythonService) replace(ctx context.Context, c *pythonContext) (*kernel, error) {
	starting, giveUp := context.WithCancel(ctx)
	defer giveUp()
	c.mu.Lock()
	gone := c.gone
	c.giveUp = giveUp
	c.mu.Unlock()
	var k *kernel
	err := context.Canceled
	if !gone {
		k, err = s.guest.spares.kernel(starting, c.cwd)
	}
	c.mu.Lock()
	c.giveUp, gone = nil, c.gone
	if err == nil && !gone {
		c.kernel = k
	}
	c.mu.Unlock()
	switch {
	case gone:
		if err == nil {
			k.close()
		}
		return nil, contextNotFound(c.id)
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fail(connect.CodeResourceExhausted, "KERNEL_NOT_STARTED",
			"end some of the session's processes, or create another session", "%v", err)
	}
	return k, nil
}

// set notes the context's kernel and what it runs.
func (c *pythonContext) set(k *kernel, running *cell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kernel, c.cell = k, running
}

// take waits for the kernel. As many calls wait as the bound allows.
func (c *pythonContext) take(ctx context.Context) error {
	c.mu.Lock()
	if c.waiting >= maxWaiting {
		c.mu.Unlock()
		return fail(connect.CodeResourceExhausted, "CONTEXT_BUSY", "wait for earlier calls, or use another context",
			"%d calls wait for context %q already", maxWaiting, c.id)
	}
	c.waiting++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.waiting--
		c.mu.Unlock()
	}()
	select {
	case c.turn <- struct{}{}:
		if ctx.Err() != nil {
			c.release()
			return ctx.Err()
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *pythonContext) release() { <-c.turn }

// find returns a context. The default one is made again if it was deleted.
func (s *pythonService) find(id string) (*pythonContext, error) {
	if id == "" {
		id = defaultContext
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contexts[id]
	if c == nil && id == defaultContext {
		c = newPythonContext(id, s.guest.cfg.Home)
		s.contexts[id] = c
	}
	if c == nil {
		return nil, contextNotFound(id)
	}
	return c, nil
}

func contextNotFound(id string) error {
	return fail(connect.CodeNotFound, "CONTEXT_NOT_FOUND",
		"leave context_id out for the default context; programs make others with PythonService.CreateContext", "no context %q", id)
}

// Interrupt ends the running cell.
func (s *pythonService) Interrupt(_ context.Context, req *sandgatev1.InterruptRequest) (*sandgatev1.InterruptResponse, error) {
	c, err := s.find(req.GetContextId())
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	running := c.cell
	c.mu.Unlock()
	return &sandgatev1.InterruptResponse{Interrupted: running != nil && running.end(endedByInterrupt)}, nil
}

// CreateContext starts another kernel.
func (s *pythonService) CreateContext(ctx context.Context, req *sandgatev1.CreateContextRequest) (*sandgatev1.CreateContextResponse, error) {
	id := req.GetContextId()
	if id == "" {
		id = "ctx_" + rand.Text()
	}
	cwd, err := s.guest.directory(ctx, req.GetCwd())
	if err != nil {
		return nil, err
	}
	c := newPythonContext(id, cwd)
	c.turn <- struct{}{}
	defer c.release()
	s.mu.Lock()
	_, exists := s.contexts[id]
	full := len(s.contexts) >= maxContexts
	if !exists && !full {
		s.contexts[id] = c
	}
	s.mu.Unlock()
	switch {
	case exists:
		return nil, fail(connect.CodeAlreadyExists, "CONTEXT_EXISTS", "use it, or restart it", "context %q exists", id)
	case full:
		return nil, fail(connect.CodeResourceExhausted, "TOO_MANY_CONTEXTS", "delete one", "%d contexts exist", maxContexts)
	}
	if _, err := s.ensure(ctx, c); err != nil {
		s.drop(c)
		c.mu.Lock()
		c.gone = true // whoever waits for it must not start a kernel that nobody can find
		c.mu.Unlock()
		return nil, err
	}
	return &sandgatev1.CreateContextResponse{Context: c.describe()}, nil
}

func (c *pythonContext) describe() *sandgatev1.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	described := &sandgatev1.Context{Id: c.id, Busy: c.cell != nil}
	if c.kernel != nil {
		described.ExecutionCount = c.kernel.count.Load()
		described.StartedAt = timestamppb.New(c.kernel.started)
	}
	return described
}

// ListContexts returns the contexts, the default one first.
func (s *pythonService) ListContexts(context.Context, *sandgatev1.ListContextsRequest) (*sandgatev1.ListContextsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	res := new(sandgatev1.ListContextsResponse)
	for _, c := range s.contexts {
		res.Contexts = append(res.Contexts, c.describe())
	}
	slices.SortFunc(res.Contexts, func(a, b *sandgatev1.Context) int {
		if (a.GetId() == defaultContext) != (b.GetId() == defaultContext) {
			if a.GetId() == defaultContext {
				return -1
			}
			return 1
		}
		return a.GetStartedAt().AsTime().Compare(b.GetStartedAt().AsTime())
	})
	return res, nil
}

// RestartContext replaces a kernel. What runs in it is killed.
func (s *pythonService) RestartContext(ctx context.Context, req *sandgatev1.RestartContextRequest) (*sandgatev1.RestartContextResponse, error) {
	c, err := s.find(req.GetContextId())
	if err != nil {
		return nil, err
	}
	c.killKernel()
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	defer c.release()
	c.mu.Lock()
	old := c.kernel
	c.kernel, c.cell, c.lost = nil, nil, ""
	c.mu.Unlock()
	if old != nil {
		old.close()
	}
	if _, err := s.ensure(ctx, c); err != nil {
		return nil, err
	}
	return &sandgatev1.RestartContextResponse{Context: c.describe()}, nil
}

// killKernel kills what runs in the context now.
func (c *pythonContext) killKernel() {
	c.mu.Lock()
	k := c.kernel
	c.mu.Unlock()
	if k != nil {
		k.kill()
	}
}

// DeleteContext ends a kernel.
func (s *pythonService) DeleteContext(ctx context.Context, req *sandgatev1.DeleteContextRequest) (*sandgatev1.DeleteContextResponse, error) {
	c, err := s.find(req.GetContextId())
	if err != nil {
		return nil, err
	}
	s.drop(c)
	if err := c.end(ctx); err != nil {
		s.guest.background.Go(func() { _ = c.end(s.guest.ctx) })
		return nil, err
	}
	return &sandgatev1.DeleteContextResponse{}, nil
}

// drop takes a context off the list, unless another has its name by now.
func (s *pythonService) drop(c *pythonContext) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.contexts[c.id] == c {
		delete(s.contexts, c.id)
	}
}

// end kills the kernel for good. Calls that wait for it find the context gone.
func (c *pythonContext) end(ctx context.Context) error {
	c.mu.Lock()
	c.gone = true
	giveUp := c.giveUp
	c.mu.Unlock()
	if giveUp != nil {
		giveUp()
	}
	c.killKernel()
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.release()
	c.mu.Lock()
	old := c.kernel
	c.kernel, c.cell, c.lost = nil, nil, ""
	c.mu.Unlock()
	if old != nil {
		old.close()
	}
	return nil
}

// close ends every context.
func (s *pythonService) close() {
	s.mu.Lock()
	contexts := s.contexts
	s.contexts = map[string]*pythonContext{}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, c := range contexts {
		_ = c.end(ctx)
	}
}

// joinRun makes one event of two pieces of the same stream.
func joinRun(last, next *sandgatev1.RunResponse) bool {
	switch after := next.GetEvent().(type) {
	case *sandgatev1.RunResponse_Stdout:
		before, ok := last.GetEvent().(*sandgatev1.RunResponse_Stdout)
		return ok && joinOutput(before.Stdout, after.Stdout)
	case *sandgatev1.RunResponse_Stderr:
		before, ok := last.GetEvent().(*sandgatev1.RunResponse_Stderr)
		return ok && joinOutput(before.Stderr, after.Stderr)
	}
	return false
}
