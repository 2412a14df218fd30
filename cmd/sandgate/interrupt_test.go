package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// noSessions wants every temporary session of a gateway to be gone.
func noSessions(t *testing.T, server string) {
	t.Helper()
	reply, err := newClient(server, "", nil).sessions.ListSessions(t.Context(), &sandgatev1.ListSessionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(reply.GetSessions()) > 0 {
		t.Errorf("sessions are left: %v", reply.GetSessions())
	}
}

func TestInterruptEndsTheCodeAndCleansUp(t *testing.T) {
	t.Parallel()
	server := startFakeGateway(t)
	py := newProgram(t, server, "py", "-c", "out ready\nwait").start(t)
	py.expect(t, "ready")
	py.signal(t, os.Interrupt)
	py.expect(t, "KeyboardInterrupt")
	py.ends(t, exitInterrupted)
	noSessions(t, server)
}

func TestSecondInterruptLeaves(t *testing.T) {
	t.Parallel()
	server := startFakeGateway(t)
	py := newProgram(t, server, "py", "-c", "out ready\nhang").start(t)
	py.expect(t, "ready")
	py.signal(t, os.Interrupt)
	py.expect(t, "interrupt asked")
	py.expect(t, "A second Ctrl-C leaves")
	py.signal(t, os.Interrupt)
	py.ends(t, exitInterrupted)
	noSessions(t, server)
}

// TestThirdInterruptLeavesThePrompt gives up on a cell that nothing ends.
func TestThirdInterruptLeavesThePrompt(t *testing.T) {
	t.Parallel()
	server := startFakeGateway(t)
	py := newProgram(t, server, "py", "-i").start(t)
	py.send(t, "@hang:\nout ready\nhang\n\n")
	py.expect(t, "ready")
	py.signal(t, os.Interrupt)
	py.expect(t, "interrupt asked")
	py.signal(t, os.Interrupt)
	py.expect(t, "asks again, and a third one leaves")
	py.signal(t, os.Interrupt)
	py.ends(t, exitInterrupted)
	noSessions(t, server)
}

func TestTerminationCleansUp(t *testing.T) {
	t.Parallel()
	server := startFakeGateway(t)
	py := newProgram(t, server, "py", "-c", "out ready\nhang").start(t)
	py.expect(t, "ready")
	py.signal(t, syscall.SIGTERM)
	py.ends(t, exitInterrupted)
	noSessions(t, server)
}

// TestWaitForInputEnds interrupts what reads standard input to an end that does not come.
func TestWaitForInputEnds(t *testing.T) {
	t.Parallel()
	server := startFakeGateway(t)
	for _, args := range [][]string{
		{"cp", "-", "s1:foo"},
		{"call", "python_run", "--json", "-"},
		{"py", "-"},
		{"py", "-i"},
	} {
		for _, sent := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			if args[0] == "py" && sent == os.Interrupt {
				continue // is the code's, or ends the process before there is any
			}
			t.Run(strings.Join(args, " ")+" "+sent.String(), func(t *testing.T) {
				t.Parallel()
				reads := newProgram(t, server, args...).start(t)
				reads.send(t, `{"code"`) // half a thing
				reads.hasRead(t)
				reads.signal(t, sent)
				reads.ends(t, exitInterrupted)
			})
		}
	}
}

func TestReaderThatGoesAwayCleansUp(t *testing.T) {
	t.Parallel()
	server := startFakeGateway(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	py := newProgram(t, server, "py", "-c", "hang-up\n"+strings.Repeat("out more\n", 1000))
	py.cmd.Stdout, py.cmd.Stderr = write, py.out
	py.begin(t)
	if err := write.Close(); err != nil {
		t.Error(err)
	}
	if err := read.Close(); err != nil {
		t.Error(err)
	}
	py.ends(t, exitBrokenPipe)
	noSessions(t, server)
}

// TestPromptOnTerminal types at the prompt as a person does.
func TestPromptOnTerminal(t *testing.T) {
	t.Parallel()
	const (
		done   = "\x1b[?2004l"     // the editor lets go of the terminal, and then the code runs
		prompt = "\x1b[?2004h>>> " // it has the terminal again
	)
	server := startFakeGateway(t)
	py := newProgram(t, server, "py", "-i").startOnTerminal(t)
	py.expect(t, prompt)
	py.send(t, "value forty-two\r")
	py.expect(t, done+"forty-two\r\n"+prompt)
	// Ctrl-C at the prompt drops the line.
	py.send(t, "value never\x03")
	py.expect(t, "KeyboardInterrupt\r\n"+prompt)
	// A block goes on until an empty line, whatever it says.
	py.send(t, "if true:\rout in the block\r\r")
	py.expect(t, done+"in the block\r\n"+prompt)
	// Ctrl-C while code runs interrupts the code, and the prompt stays.
	py.send(t, "@wait:\rout waiting\rwait\r\r")
	py.expect(t, done+"waiting\r\n")
	py.send(t, "\x03")
	py.expect(t, "^CKeyboardInterrupt\r\n"+prompt)
	// Pasted text keeps its empty lines and its tabs.
	py.send(t, "\x1b[200~if paste:\r\r\tout pasted\r\x1b[201~\r")
	py.expect(t, done+"pasted\r\n"+prompt)
	py.send(t, "\x04")
	py.ends(t, 0)
	if strings.Contains(py.out.String(), done+"never") {
		t.Errorf("a dropped line was run:\n%s", py.out)
	}
	noSessions(t, server)
}
