package guest

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// processService is the guest's ProcessService.
type processService struct {
	guest *Guest

	mu       sync.Mutex
	programs map[string]*program // the launched ones; guarded by mu
	starting int                 // how many are being launched; guarded by mu
	closed   bool                // guarded by mu
	shells   chan struct{}       // one element for each command of Shell that runs
}

func newProcessService(g *Guest) *processService {
	return &processService{guest: g, programs: map[string]*program{}, shells: make(chan struct{}, maxShells)}
}

// Start starts a program and streams its events until it ends or the caller leaves.
func (s *processService) Start(ctx context.Context, req *sandgatev1.StartRequest, stream *connect.ServerStream[sandgatev1.StartResponse]) error {
	p, err := s.start(ctx, req)
	if err != nil {
		return err
	}
	return p.stream(ctx, 0, 0, func(event *sandgatev1.ProcessEvent) error {
		return stream.Send(&sandgatev1.StartResponse{Event: event})
	})
}

func (s *processService) start(ctx context.Context, req *sandgatev1.StartRequest) (*program, error) {
	p := &program{
		guest:   s.guest,
		writing: make(chan struct{}, 1),
		id:      "prc_" + rand.Text(),
		request: req,
		stdout:  newRing(ringSize),
		stderr:  newRing(ringSize),
		ended:   make(chan struct{}),
	}
	if err := s.reserve(); err != nil {
		return nil, err
	}
	err := s.launch(ctx, p)
	s.mu.Lock()
	s.starting--
	closed := s.closed
	if err == nil && !closed {
		s.programs[p.id] = p
	}
	s.mu.Unlock()
	if err == nil && closed {
		p.close()
		err = errClosing()
	}
	return p, err
}

func errClosing() error {
	return fail(connect.CodeUnavailable, "GUEST_CLOSING", "create another session", "the sandbox is ending")
}

// launch connects and starts the program.
func (s *processService) launch(ctx context.Context, p *program) error {
	req := p.request
	var files [3]*os.File
	var err error
	if req.GetTerminal() != nil {
		files, err = s.wireTerminal(ctx, p)
	} else {
		files, err = p.wire(req.GetStdin())
	}
	if err != nil {
		return startError(req.GetCommand(), err)
	}
	mark := s.guest.memory.mark()
	p.started = time.Now()
	p.child, err = s.guest.spawn(ctx, command{
		path: req.GetCommand(), args: req.GetArgs(), cwd: req.GetCwd(), env: req.GetEnv(),
		files: files, terminal: req.GetTerminal() != nil,
	})
	for _, file := range slices.Compact(files[:]) { // a terminal is three times the same
		closeAll(file)
	}
	if err != nil {
		for _, end := range p.pipes {
			end.close()
		}
		closeAll(p.stdin)
		return err
	}
	var timer *time.Timer
	if limit := req.GetTimeout().AsDuration(); limit > 0 {
		timer = time.AfterFunc(limit, func() {
			p.timedOut.Store(true)
			p.marker.end(nil)
		})
	}
	p.done.Go(func() { p.finish(timer, mark) })
	return nil
}

// wireTerminal connects a program to a new terminal.
func (s *processService) wireTerminal(ctx context.Context, p *program) (files [3]*os.File, err error) {
	master, slave, err := s.guest.openTerminal(ctx, p.request.GetTerminal())
	if err != nil {
		return files, err
	}
	duplicate, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		closeAll(master, slave)
		return files, err
	}
	out, err := readPipe(duplicate, p.stdout.write)
	if err != nil {
		closeAll(master, slave)
		return files, err
	}
	p.stdin, p.pipes = master, []*pipe{out}
	return [3]*os.File{slave, slave, slave}, nil
}

// reserve makes room for one more program, forgetting those that ended long ago, and the one that
// ended first if there are too many.
func (s *processService) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosing()
	}
	var oldest *program
	for _, p := range s.programs {
		select {
		case <-p.ended:
		default:
			continue
		}
		if time.Since(p.endedAt) > keepEnded {
			s.forget(p)
		} else if oldest == nil || p.endedAt.Before(oldest.endedAt) {
			oldest = p
		}
	}
	if len(s.programs)+s.starting >= maxPrograms {
		if oldest == nil {
			return fail(connect.CodeResourceExhausted, "TOO_MANY_PROGRAMS", "end some of them",
				"%d programs run in this session already", maxPrograms)
		}
		s.forget(oldest)
	}
	s.starting++
	return nil
}

// forget drops an ended program and kills what it left behind. The caller holds mu.
func (s *processService) forget(p *program) {
	delete(s.programs, p.id)
	s.guest.background.Go(p.close)
}

// find returns a program.
func (s *processService) find(id string) (*program, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.programs[id]
	if p == nil {
		return nil, fail(connect.CodeNotFound, "PROCESS_NOT_FOUND", "list the session's processes", "no process %q", id)
	}
	return p, nil
}

// stream sends a program's events from the given offsets on.
func (p *program) stream(ctx context.Context, outOffset, errOffset int64, send func(*sandgatev1.ProcessEvent) error) error {
	err := send(&sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Started{
		Started: &sandgatev1.ProcessStarted{ProcessId: p.id, Pid: int32(p.pid)},
	}})
	if err != nil {
		return err
	}
	var sending sync.Mutex // a stream takes one message at a time
	group, ctx := errgroup.WithContext(ctx)
	follow := func(from *ring, offset int64, wrap func(*sandgatev1.Output) *sandgatev1.ProcessEvent) {
		reader := from.reader(offset)
		group.Go(func() error {
			defer reader.close()
			return reader.follow(ctx, func(data []byte, offset int64) error {
				sending.Lock()
				defer sending.Unlock()
				return send(wrap(&sandgatev1.Output{Data: slices.Clone(data), Offset: offset}))
			})
		})
	}
	follow(p.stdout, outOffset, func(o *sandgatev1.Output) *sandgatev1.ProcessEvent {
		return &sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Stdout{Stdout: o}}
	})
	follow(p.stderr, errOffset, func(o *sandgatev1.Output) *sandgatev1.ProcessEvent {
		return &sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Stderr{Stderr: o}}
	})
	if err := group.Wait(); err != nil {
		return err
	}
	<-p.ended // follows the closing of the rings at once
	return send(&sandgatev1.ProcessEvent{Event: &sandgatev1.ProcessEvent_Ended{Ended: p.result}})
}

// Connect streams the events of a program from an offset on.
func (s *processService) Connect(ctx context.Context, req *sandgatev1.ConnectRequest, stream *connect.ServerStream[sandgatev1.ConnectResponse]) error {
	p, err := s.find(req.GetProcessId())
	if err != nil {
		return err
	}
	return p.stream(ctx, req.GetStdoutOffset(), req.GetStderrOffset(), func(event *sandgatev1.ProcessEvent) error {
		return stream.Send(&sandgatev1.ConnectResponse{Event: event})
	})
}

// ListProcesses returns the programs, oldest first.
func (s *processService) ListProcesses(context.Context, *sandgatev1.ListProcessesRequest) (*sandgatev1.ListProcessesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	res := new(sandgatev1.ListProcessesResponse)
	for _, p := range s.programs {
		res.Processes = append(res.Processes, p.describe())
	}
	slices.SortFunc(res.Processes, func(a, b *sandgatev1.Process) int {
		return a.GetStartedAt().AsTime().Compare(b.GetStartedAt().AsTime())
	})
	return res, nil
}

// close kills every program.
func (s *processService) close() {
	s.mu.Lock()
	s.closed = true
	programs := s.programs
	s.programs = map[string]*program{}
	s.mu.Unlock()
	for _, p := range programs {
		p.close()
	}
	for range maxShells { // until the last command has ended
		s.shells <- struct{}{}
	}
}

// inputError says why a program takes no input.
func inputError(id string, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fail(connect.CodeDeadlineExceeded, "INPUT_NOT_READ", "send less, or wait until it reads",
			"process %q does not read its input", id)
	}
	return fail(connect.CodeFailedPrecondition, "STDIN_CLOSED", "start it with stdin or a terminal",
		"process %q takes no input", id)
}
