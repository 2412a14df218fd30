package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
)

// pyFlags are the flags of `sandgate py`.
type pyFlags struct {
	at          place
	code        string
	interactive bool
	context     string
	timeout     string
	images      string
}

// pyCommand is `sandgate py`.
func (a *app) pyCommand() *cobra.Command {
	var flags pyFlags
	cmd := &cobra.Command{
		Use:     "py [FILE|-]",
		Short:   "Run Python in a sandbox",
		GroupID: groupUse,
		Args:    cobra.MaximumNArgs(1),
		Long: `Runs a file, a line (-c), standard input (-) or a prompt (-i) in a sandbox. Output
comes as it is written; the exit code is what python's would be.

Without --session it works in a temporary session that is deleted afterwards. With
one, variables and imports are still there in the next call. --context NAME keeps a
second set of them apart; it is made when it is first named.

Ctrl-C interrupts the code as in python; code that goes on is killed two seconds
later, and a second Ctrl-C leaves without waiting for that. At the prompt Ctrl-C drops
the line, or interrupts the code that runs: a second one asks again, a third leaves.
The prompt ends with exit(), quit() or Ctrl-D. Where Python itself ends, such as by
os._exit or out of memory, it goes on with a new one and says so.`,
		Example: `  sandgate py script.py
  echo 'print(6*7)' | sandgate py -
  sandgate py -c 'import sys; sys.exit(3)'; echo $?
  sandgate py -i --template data
  sandgate py plot.py --template data --images charts/
  sandgate py --session $id --context other --timeout 30s job.py`,
		RunE: terminable(func(ctx context.Context, args []string) error {
			return a.py(ctx, args, &flags)
		}),
	}
	set := cmd.Flags()
	set.StringVarP(&flags.code, "code", "c", "", "run this code")
	set.BoolVarP(&flags.interactive, "interactive", "i", false, "a prompt; with a file or -c, after it has run")
	set.StringVar(&flags.at.session, "session", "", "the session to work in")
	set.StringVar(&flags.at.template, "template", "", "template of the temporary session: python or data")
	set.StringVar(&flags.context, "context", "", "the context: a Python of its own in the session, made when it is first named; empty: default, which always exists")
	set.StringVar(&flags.timeout, "timeout", "", "end the code after this long, such as 30s (default 300s)")
	set.StringVar(&flags.images, "images", "", "save pictures that the code shows in this folder")
	return cmd
}

// py runs what the arguments name, and then the prompt where it is wanted.
func (a *app) py(ctx context.Context, args []string, flags *pyFlags) error {
	code, given, err := a.readCode(args, flags)
	if err != nil {
		return err
	}
	if given && !flags.interactive && strings.TrimSpace(code) == "" {
		return nil // as python does
	}
	var timeout *durationpb.Duration
	if flags.timeout != "" {
		if timeout, err = parseDuration(flags.timeout); err != nil {
			return usagef("--timeout: %w", err)
		}
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	defer catchInterrupts()()
	return a.within(ctx, c, flags.at, func(ctx context.Context, id string) error {
		runner := &cellRunner{
			app: a, client: c, session: id, context: flags.context, timeout: timeout,
			images: imageSaver{dir: flags.images},
		}
		if err := runner.enterContext(ctx); err != nil {
			return err
		}
		if given {
			err := runner.run(ctx, code)
			var exit exitError
			if !flags.interactive || (err != nil && !errors.As(err, &exit)) {
				return err
			}
		}
		return a.repl(ctx, runner)
	})
}

// readCode returns the code that the command line names; given is false when only a prompt is
// wanted.
func (a *app) readCode(args []string, flags *pyFlags) (code string, given bool, err error) {
	name := ""
	if len(args) == 1 {
		name = args[0]
	}
	switch {
	case flags.code != "" && name != "":
		return "", false, usagef("-c and a file cannot be run together")
	case flags.code != "":
		return flags.code, true, checkText("the code after -c", flags.code)
	case name == "" && flags.interactive:
		return "", false, nil
	case name == "":
		if _, isTerminal := terminalFD(a.in); isTerminal {
			flags.interactive = true // as python does
			return "", false, nil
		}
		name = "-"
	}
	if name == "-" && flags.interactive {
		return "", false, usagef("-i reads standard input, so the code cannot come from there too")
	}
	code, err = a.readSource(name)
	return code, true, err
}
