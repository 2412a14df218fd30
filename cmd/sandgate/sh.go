package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// commandTimeout is how long a command may run that gets our input: as long as one that does not.
const commandTimeout = 60 * time.Second

// shFlags are the flags of `sandgate sh`.
type shFlags struct {
	at      place
	timeout string
	cwd     string
	command string
}

// shCommand is `sandgate sh`.
func (a *app) shCommand() *cobra.Command {
	var flags shFlags
	cmd := &cobra.Command{
		Use:     "sh [COMMAND…]",
		Short:   "Run a shell, or a command, in a sandbox",
		GroupID: groupUse,
		Long: `Without a command: a shell on a terminal of its own, or one that reads its commands
from standard input where that is no terminal. With a command: bash runs it, and its
words are joined by spaces as ssh does. The exit code is the command's.

Standard input goes to the command where it is no terminal, as with ssh: in a loop that
reads lines, write < /dev/null behind the command, or it takes them.

Output is complete up to 64 MiB a stream: 16 MiB come as they are written, the rest at
the command's end. A command that gets our input, and a shell, have no such bound; they
lose output that nobody reads for five seconds. Whatever is missing is told on standard
error, and makes a success exit with 3.

Flags go before the command. Without --session it works in a temporary session that
is deleted afterwards.`,
		Example: `  sandgate sh
  sandgate sh -c 'python3 --version; id'
  sandgate sh --session $id --timeout 10m 'sleep 90; date'
  sandgate sh < script.sh
  tar c src | sandgate sh --session $id tar x`,
		Args: cobra.ArbitraryArgs,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			if flags.command != "" && len(args) > 0 {
				return usagef("give the command once: by -c or as arguments")
			}
			return a.sh(ctx, cmp.Or(flags.command, strings.Join(args, " ")), &flags)
		}),
	}
	set := cmd.Flags()
	set.SetInterspersed(false) // what follows the command's first word is the command's
	set.StringVar(&flags.at.session, "session", "", "the session to work in")
	set.StringVar(&flags.at.template, "template", "", "template of the temporary session: python or data")
	set.StringVar(&flags.timeout, "timeout", "", "end the command after this long, such as 10m (default 60s; a shell: none)")
	set.StringVarP(&flags.command, "command", "c", "", "the command, in one piece")
	set.StringVar(&flags.cwd, "cwd", "", "folder to start in; empty: /home/user")
	return cmd
}

// sh runs a command, or a shell where it is empty.
func (a *app) sh(ctx context.Context, command string, flags *shFlags) error {
	if err := checkText("the command", command); err != nil {
		return err
	}
	var timeout *durationpb.Duration
	if flags.timeout != "" {
		var err error
		if timeout, err = parseDuration(flags.timeout); err != nil {
			return usagef("--timeout: %w", err)
		}
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	last := flags.at.session == ""
	return a.within(ctx, c, flags.at, func(ctx context.Context, id string) error {
		if command != "" && a.inputToForward() {
			shell := &shell{app: a, client: c, session: id, last: last}
			return shell.run(ctx, &sandgatev1.StartRequest{
				SessionId: id, Command: "bash", Args: []string{"-c", command}, Cwd: flags.cwd,
				Timeout: cmp.Or(timeout, durationpb.New(commandTimeout)),
			})
		}
		if command != "" {
			return a.shellRun(ctx, c, &sandgatev1.ShellRequest{
				SessionId: id, Command: command, Cwd: flags.cwd, Timeout: timeout, MaxOutputBytes: inlineOutput,
			}, last)
		}
		shell := &shell{app: a, client: c, session: id, last: last}
		return shell.run(ctx, &sandgatev1.StartRequest{
			SessionId: id, Command: "bash", Cwd: flags.cwd, Timeout: timeout,
		})
	})
}

// inputToForward reports whether standard input may hold something for a command. On a terminal it is
// the shell's, not the command's: nobody expects `sandgate sh make` to wait for keys.
func (a *app) inputToForward() bool {
	f, ok := a.in.(*os.File)
	if !ok {
		return a.in != nil
	}
	info, err := f.Stat()
	if _, isTerminal := terminalFD(f); err != nil || isTerminal {
		return false // closed, or a terminal
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// shellRun runs one command and streams its output; last says that its session ends with it.
func (a *app) shellRun(ctx context.Context, c *client, request *sandgatev1.ShellRequest, last bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.processes.Shell(ctx, request)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // everything that matters was received
	var result *sandgatev1.ProcessResult
	for stream.Receive() {
		event := stream.Msg()
		if err := copyOutput(a.stdio, event.GetStdout(), event.GetStderr()); err != nil {
			return err
		}
		if event.GetResult() != nil {
			result = event.GetResult()
		}
	}
	if err := stream.Err(); err != nil {
		return inFlags(err)
	}
	if result == nil {
		return errNoResult
	}
	rest := outputRest{app: a, client: c, session: request.GetSessionId()}
	whole, err := rest.show(ctx, result.GetStdout(), result.GetStderr())
	if err != nil {
		return err
	}
	return a.processEnded(result, whole, last)
}

// copyOutput writes what an event carries of a program's streams.
func copyOutput(streams stdio, stdout, stderr *sandgatev1.Output) error {
	for _, piece := range []struct {
		to   io.Writer
		data []byte
	}{{streams.out, stdout.GetData()}, {streams.err, stderr.GetData()}} {
		if len(piece.data) == 0 {
			continue
		}
		if _, err := piece.to.Write(piece.data); err != nil {
			return err
		}
	}
	return nil
}

// errNoResult says that events came to an end without the one that tells how it went.
var errNoResult = errors.New("the gateway ended the call without a result")

// processEnded tells what a program's result adds to its output and turns it into an exit code; whole
// says whether all of the output is here, and last that its session ends with it.
func (a *app) processEnded(result *sandgatev1.ProcessResult, whole, last bool) error {
	if result.GetStatus() != sandgatev1.Status_STATUS_OK {
		a.note(result.GetNote(), last)
	}
	return exitWith(codeOfWhole(statusCode(result.GetStatus(), result.GetExitCode()), whole))
}
