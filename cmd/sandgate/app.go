package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/failpoint"
)

// stdio is what a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// app is one run of the program.
type app struct {
	stdio
	env    config.Env
	names  []string // of all environment variables that are set
	server string   // --server; empty: from the environment, or the default
	tls    tlsFiles // --ca, --cert and --cert-key; empty: from the environment, or the default
	// started is set once a command's own work begins. An error before that is one of usage.
	started bool
}

// run is the whole program: it does what args say and returns the exit code. It touches nothing of
// the process but what it is given, its signals and its terminal.
func run(ctx context.Context, args []string, streams stdio, environ []string) int {
	a := &app{stdio: streams}
	a.env, a.names = environment(environ)
	if err := failpoint.Arm(a.env.Get(failpoint.Env)); err != nil {
		return a.report(usageError{err: err})
	}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.started {
		err = usageError{err: err, command: cmd.CommandPath()}
	}
	return a.report(err)
}

// environment splits what [os.Environ] returns: how to look a variable up, and the names of those that
// are not empty.
func environment(environ []string) (config.Env, []string) {
	values := make(map[string]string, len(environ))
	var names []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
		if value != "" {
			names = append(names, name)
		}
	}
	lookup := func(name string) (string, bool) {
		value, set := values[name]
		return value, set
	}
	slices.Sort(names)
	return lookup, names
}

const rootLong = `Sandgate runs what you do not trust: Python, shell commands and file work of AI
agents, each session in a sandbox of its own, with no network and no way out.

Start a gateway, then use it:

  sandgate doctor                    is this host fit to serve, and what to do if not
  sandgate serve                     answer on http://127.0.0.1:7777

  sandgate py script.py              run a file like python does, in a sandbox
  sandgate py -c 'print(6*7)'        run a line
  sandgate py -i                     a prompt that keeps its state
  sandgate sh                        a shell in a sandbox

  id=$(sandgate session create --template data)
  sandgate cp data.csv $id:data.csv
  sandgate py --session $id analyse.py
  sandgate session delete $id

  sandgate mcp                       the tools for an MCP client, over stdin and stdout

Exit codes: the program's own where one ran, 124 it ran out of time, 137 out of
memory or killed, 2 wrong usage, 3 it could not be run or its output is not all
here, 130 interrupted.

Environment: SANDGATE_SERVER is the gateway to talk to, as --server of the commands
that use one, SANDGATE_KEY the key or token to show it, SANDGATE_CA, SANDGATE_CERT and
SANDGATE_CERT_KEY are files for TLS, as --ca, --cert and --cert-key; NO_COLOR turns
colours off.`

// rootCommand builds the tree of commands.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "sandgate",
		Short:         "Run what you do not trust",
		Version:       buildVersion(),
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			a.started = true
		},
	}
	root.SetFlagErrorFunc(unknownFlag)
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.AddGroup(
		&cobra.Group{ID: groupUse, Title: "Using a gateway:"},
		&cobra.Group{ID: groupRun, Title: "Running a gateway:"},
	)
	root.AddCommand(
		a.pyCommand(), a.shCommand(), a.cpCommand(), a.urlCommand(), a.sessionCommand(), a.workspaceCommand(), a.toolsCommand(), a.callCommand(), a.callsCommand(),
		a.openAPICommand(), a.mcpCommand(), a.whoAmICommand(), a.tokenCommand(), a.usageCommand(), a.topCommand(),
		a.serveCommand(), a.keyCommand(), a.tenantCommand(), a.auditCommand(), a.wasmCommand(), a.doctorCommand(), a.healthCommand(),
		a.configCommand(), a.versionCommand(),
	)
	for _, cmd := range root.Commands() {
		if cmd.GroupID == groupUse { // the others would only ignore it
			cmd.PersistentFlags().StringVar(&a.server, "server", "",
				"gateway to talk to (default $SANDGATE_SERVER or http://"+config.DefaultListen+")")
			a.tls.add(cmd.PersistentFlags())
		}
	}
	strictHelp(root)
	a.addCompletions(root)
	return root
}

// The groups of commands in the help.
const (
	groupUse = "use"
	groupRun = "run"
)

// action is what a command does. It should end soon after ctx does.
type action func(ctx context.Context, args []string) error

// interruptible makes an action a command's body: Ctrl-C, SIGTERM and SIGHUP end its context, and
// the command then ends as interrupted unless it has an exit code of its own to tell.
func interruptible(do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		err := do(ctx, args)
		var exit exitError
		if err != nil && ctx.Err() != nil && !errors.As(err, &exit) {
			return exitError{code: exitInterrupted}
		}
		return err
	}
}

// terminalFD returns the descriptor of a stream that is a terminal.
func terminalFD(stream any) (fd int, isTerminal bool) {
	f, ok := stream.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// paint writes text in a colour, where the stream is a terminal and colours are wanted.
func (a *app) paint(stream io.Writer, sgr, text string) string {
	_, isTerminal := terminalFD(stream)
	if _, off := a.env("NO_COLOR"); off || !isTerminal || a.env.Get("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}
