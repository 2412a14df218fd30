package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"connectrpc.com/connect"
	"golang.org/x/term"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// inputPiece is how much input is sent in one call.
const inputPiece = 32 << 10

// termName passes on what kind of terminal this is, if it is a plain name.
func termName(name string) string {
	if name == "" || len(name) > 64 || printable(name) != name {
		return "xterm-256color"
	}
	return name
}

// terminalSize is a size for the wire, within the bounds of the API. Zero, which terminals say that
// do not know their size, leaves the choice to the sandbox.
func terminalSize(width, height int) *sandgatev1.TerminalSize {
	return &sandgatev1.TerminalSize{Cols: uint32(min(max(width, 0), 1000)), Rows: uint32(min(max(height, 0), 1000))}
}

// attach connects our input, and our terminal if there is one, with the started program.
func (s *shell) attach(ctx context.Context, fd int, isTerminal bool) (release func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	go s.pump(ctx) // ends with a read of standard input, which cannot be cancelled
	if !isTerminal {
		return cancel, nil
	}
	saved, err := term.MakeRaw(fd)
	if err != nil {
		cancel()
		return nil, err
	}
	var resizer sync.WaitGroup
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	resizer.Go(func() { s.resize(ctx, fd, changes) })
	return func() {
		signal.Stop(changes)
		cancel()
		resizer.Wait()
		_ = term.Restore(fd, saved) // nothing else can be done to a terminal
	}, nil
}

// pump sends standard input to the program until either ends.
func (s *shell) pump(ctx context.Context) {
	buffer := make([]byte, inputPiece)
	for {
		n, err := s.app.in.Read(buffer)
		if n > 0 {
			_, sendErr := s.client.processes.SendInput(ctx, &sandgatev1.SendInputRequest{
				SessionId: s.session, ProcessId: s.process, Data: buffer[:n],
			})
			if ctx.Err() != nil || connect.CodeOf(sendErr) == connect.CodeFailedPrecondition || connect.CodeOf(sendErr) == connect.CodeNotFound {
				return // the program has ended, and its events say how
			}
			if _, isTerminal := terminalFD(s.app.in); sendErr != nil && !isTerminal {
				message, _ := explain(sendErr)
				s.app.notef("the rest of the input was not sent: %s", message)
				err = sendErr
			}
		}
		if err != nil {
			// Whatever ended our input ends the program's, which would wait for more.
			_, _ = s.client.processes.CloseStdin(ctx, &sandgatev1.CloseStdinRequest{SessionId: s.session, ProcessId: s.process}) // as above
			return
		}
	}
}

// resize passes on new sizes of the terminal until ctx ends.
func (s *shell) resize(ctx context.Context, fd int, changes <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
		}
		if width, height, err := term.GetSize(fd); err == nil {
			_, _ = s.client.processes.Resize(ctx, &sandgatev1.ResizeRequest{
				SessionId: s.session, ProcessId: s.process, Size: terminalSize(width, height),
			}) // the next change tries again
		}
	}
}
