package main

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/term"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// resumeTries bounds how often a broken stream of events is taken up again in a row.
const resumeTries = 5

// shell is one interactive program: its output is copied here, our input there.
type shell struct {
	app     *app
	client  *client
	session string
	last    bool // the session ends with this
	// What is known of the program once it has started.
	process        string
	stdout, stderr int64 // where the next pieces of its streams begin
	lost           bool  // a piece before that never came
}

// run starts the program and stays with it to its end. On a terminal the program gets one too.
func (s *shell) run(ctx context.Context, request *sandgatev1.StartRequest) error {
	fd, isTerminal := terminalFD(s.app.in)
	if isTerminal {
		width, height, err := term.GetSize(fd)
		if err != nil {
			width, height = 0, 0
		}
		request.Terminal = terminalSize(width, height)
		request.Env = map[string]string{"TERM": termName(s.app.env.Get("TERM"))}
	} else {
		request.Stdin = true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.client.processes.Start(ctx, request)
	if err != nil {
		return err
	}
	result, err := s.follow(ctx, stream, func() (release func(), err error) {
		return s.attach(ctx, fd, isTerminal)
	})
	if err != nil {
		s.hangUp(ctx)
		return inFlags(err)
	}
	if result == nil {
		return errNoResult
	}
	for _, end := range []struct{ came, written int64 }{
		{s.stdout, result.GetStdout().GetTotalBytes()}, {s.stderr, result.GetStderr().GetTotalBytes()},
	} {
		s.gap(end.came, end.written)
	}
	return s.app.processEnded(result, !s.lost, s.last)
}

// gap takes note of output between two places that never came.
func (s *shell) gap(from, to int64) {
	if to > from {
		s.lost = true
		s.app.notef("%d bytes of output were lost after the first %d: they were not read for a while, or the connection was down", to-from, from)
	}
}

// eventStream is what Start and Connect have in common.
type eventStream interface {
	Receive() bool
	Err() error
	Close() error
}

// event returns the last event that a stream gave.
func event(stream eventStream) *sandgatev1.ProcessEvent {
	switch s := stream.(type) {
	case *connect.ServerStreamForClient[sandgatev1.StartResponse]:
		return s.Msg().GetEvent()
	case *connect.ServerStreamForClient[sandgatev1.ConnectResponse]:
		return s.Msg().GetEvent()
	}
	return nil
}

// follow copies events until the program has ended. A stream that breaks is taken up where it
// broke, as the program lives on without us. attach is called once the program has started.
func (s *shell) follow(ctx context.Context, stream eventStream, attach func() (func(), error)) (*sandgatev1.ProcessResult, error) {
	for tries := 0; ; tries++ {
		before := s.stdout + s.stderr
		for stream.Receive() {
			ev := event(stream)
			if ev.GetStarted() != nil && s.process == "" {
				s.process = ev.GetStarted().GetProcessId()
				release, err := attach()
				if err != nil {
					return nil, errors.Join(err, stream.Close())
				}
				defer release()
			}
			if err := s.copy(ev); err != nil {
				return nil, errors.Join(err, stream.Close())
			}
			if ev.GetEnded() != nil {
				return ev.GetEnded(), stream.Close()
			}
		}
		err := stream.Err()
		_ = stream.Close() // it is broken already
		if s.stdout+s.stderr > before {
			tries = 0
		}
		if s.process == "" || !mayResume(err) || tries >= resumeTries {
			return nil, err
		}
		if stream, err = s.resume(ctx, tries); err != nil {
			return nil, err
		}
	}
}

// mayResume reports whether an error is one of the connection, not of the call.
func mayResume(err error) bool {
	return err == nil || connect.CodeOf(err) == connect.CodeUnavailable || connect.CodeOf(err) == connect.CodeUnknown
}

// resume waits a little and asks for the events that come after what we have.
func (s *shell) resume(ctx context.Context, tries int) (eventStream, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Duration(100<<tries) * time.Millisecond):
	}
	return s.client.processes.Connect(ctx, &sandgatev1.ConnectRequest{
		SessionId: s.session, ProcessId: s.process, StdoutOffset: s.stdout, StderrOffset: s.stderr,
	})
}

// copy writes an event's output and remembers how far it goes.
func (s *shell) copy(ev *sandgatev1.ProcessEvent) error {
	for _, piece := range []struct {
		output *sandgatev1.Output
		next   *int64
	}{{ev.GetStdout(), &s.stdout}, {ev.GetStderr(), &s.stderr}} {
		if piece.output == nil {
			continue
		}
		s.gap(*piece.next, piece.output.GetOffset())
		*piece.next = piece.output.GetOffset() + int64(len(piece.output.GetData()))
	}
	return copyOutput(s.app.stdio, ev.GetStdout(), ev.GetStderr())
}

// hangUp ends a program that we leave, as closing a terminal does. A temporary session is deleted
// anyway; in another one the program would stay.
func (s *shell) hangUp(ctx context.Context) {
	if s.process == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	// Nobody is left to tell of a failure: the program has ended, or its gateway has.
	_, _ = s.client.processes.SendSignal(ctx, &sandgatev1.SendSignalRequest{
		SessionId: s.session, ProcessId: s.process, Signal: sandgatev1.Signal_SIGNAL_HUP,
	})
}
