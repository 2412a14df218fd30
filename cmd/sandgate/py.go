package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
)

// maxArgvBytes is the most that the arguments of a program take as JSON: they are one variable of a call.
const maxArgvBytes = 32 << 10

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
		Use:     "py [FILE|-] [ARGUMENT…]",
		Short:   "Run Python in a sandbox",
		GroupID: groupUse,
		Args:    cobra.ArbitraryArgs,
		Long: `Runs a file, a line (-c), standard input (-) or a prompt (-i) in a sandbox. Output
comes as it is written; the exit code is what python's would be. What follows the file,
or the code of -c and its flags, is for the program: it is in sys.argv, flags included.

Unlike in python, tracebacks name a cell where python names the file, there is no
__file__, threads are not waited for, and standard input does not reach the program:
input() finds its end. Copy what it needs to a session with ` + "`sandgate cp`" + `.

Output is complete up to 64 MiB a stream: 16 MiB come as they are written, the rest at
the end. What is beyond is told on standard error, and makes a success exit with 3.

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
  sandgate py --template data --images charts/ plot.py
  sandgate py -c 'import sys; print(sys.argv)' --verbose one two
  sandgate cp in.csv $id:in.csv && sandgate py --session $id convert.py --verbose in.csv
  sandgate py --session $id --context other --timeout 30s job.py`,
		RunE: terminable(func(ctx context.Context, args []string) error {
			return a.py(ctx, args, &flags)
		}),
	}
	set := cmd.Flags()
	set.SetInterspersed(false) // what follows the file is the program's
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
	script, err := a.readScript(ctx, args, flags)
	if err != nil {
		return err
	}
	if script.given() && !flags.interactive && strings.TrimSpace(script.code) == "" {
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
			images: imageSaver{dir: flags.images}, last: flags.at.session == "" && !flags.interactive,
		}
		if err := runner.enterContext(ctx); err != nil {
			return err
		}
		if script.given() {
			err := runner.run(ctx, script)
			var exit exitError
			if !flags.interactive || (err != nil && !errors.As(err, &exit)) {
				return err
			}
		}
		return a.repl(ctx, runner)
	})
}

// script is what the command line asks to run. The zero script is none: only a prompt is wanted.
type script struct {
	code string
	argv []string // what the code finds in sys.argv
}

// readScript returns the program that the command line names.
func (a *app) readScript(ctx context.Context, args []string, flags *pyFlags) (script, error) {
	for _, arg := range args {
		if err := checkText("an argument", arg); err != nil {
			return script{}, err
		}
	}
	switch {
	case flags.code != "":
		return script{flags.code, append([]string{"-c"}, args...)}, checkText("the code after -c", flags.code)
	case len(args) == 0 && flags.interactive:
		return script{}, nil
	case len(args) == 0:
		if _, isTerminal := terminalFD(a.in); isTerminal {
			flags.interactive = true // as python does
			return script{}, nil
		}
		code, err := a.readSource(ctx, "-")
		return script{code, []string{""}}, err // as python does
	case args[0] == "-" && flags.interactive:
		return script{}, usagef("-i reads standard input, so the code cannot come from there too")
	}
	code, err := a.readSource(ctx, args[0])
	return script{code, args}, err
}

// given reports whether there is a program.
func (s script) given() bool { return s.argv != nil }

// env is the environment of the script's cell: what the kernel makes sys.argv. A prompt's cell has none.
func (s script) env() (map[string]string, error) {
	if s.argv == nil {
		return nil, nil
	}
	list, err := json.Marshal(s.argv)
	if err != nil {
		return nil, err
	}
	if len(list) > maxArgvBytes {
		return nil, usagef("the arguments are longer than %d bytes together: put them into a file of the session", maxArgvBytes)
	}
	return map[string]string{"SANDGATE_ARGV": string(list)}, nil
}
