package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
)

// noArguments is for commands that take none. Where commands may stand behind it, the argument was
// meant to be one of them, and we say which it may have been.
func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return unknownCommand(cmd, args[0])
	default:
		return fmt.Errorf("%s takes no arguments, and %q is one", cmd.CommandPath(), args[0])
	}
}

// namedArguments is for commands whose Use names each argument that they need, the last perhaps with an
// ellipsis for more of them.
func namedArguments(cmd *cobra.Command, args []string) error {
	names := strings.Fields(cmd.Use)[1:]
	last := names[len(names)-1]
	switch {
	case len(args) < len(names):
		missing := strings.TrimSuffix(strings.Join(names[len(args):], " and "), "…")
		return fmt.Errorf("%s is missing: %s %s", missing, cmd.CommandPath(), strings.Join(names, " "))
	case len(args) > len(names) && !strings.HasSuffix(last, "…"):
		return fmt.Errorf("%q is one argument too many: %s %s", args[len(names)], cmd.CommandPath(), strings.Join(names, " "))
	}
	return nil
}

// unknownCommand is the error for a name that no command behind parent has.
func unknownCommand(parent *cobra.Command, name string) error {
	err := fmt.Errorf("unknown command %q for %q", name, parent.CommandPath())
	var names []string
	for _, cmd := range parent.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	near := meant(name, names)
	if len(near) == 0 {
		return hintError{err: err, hint: "`" + parent.CommandPath() + " --help` shows them all"}
	}
	for i := range near {
		near[i] = "`" + parent.CommandPath() + " " + near[i] + "`"
	}
	return hintError{err: err, hint: "did you mean " + strings.Join(near, " or ") + "?"}
}

// unknownFlag adds to the error for a flag that a command does not have which it may have been.
func unknownFlag(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	name := unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		name = short // -timeout is -t, -i and so on, and was meant to be --timeout
	}
	var names []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden {
			names = append(names, flag.Name)
		}
	})
	near := meant(name, names)
	if len(near) == 0 {
		return err
	}
	return hintError{err: err, hint: "did you mean --" + strings.Join(near, " or --") + "?"}
}

// meant returns which of some names may have been meant by one that is none of them: those that begin
// with it, else the nearest.
func meant(name string, names []string) []string {
	var longer []string
	for _, candidate := range names {
		if strings.HasPrefix(candidate, name) {
			longer = append(longer, candidate)
		}
	}
	if len(longer) > 0 {
		return longer
	}
	return config.Nearest(name, names)
}

// strictHelp makes cobra's own commands fail for names that they do not know: left alone, they
// print a help and report success.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	named := func(name string) *cobra.Command {
		return root.Commands()[slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == name })]
	}
	named("help").Args = func(_ *cobra.Command, args []string) error {
		found, rest, err := root.Find(args)
		if err == nil && len(rest) > 0 {
			return unknownCommand(found, rest[0])
		}
		return err
	}
	completion := named("completion")
	completion.Args, completion.RunE = noArguments, needsSubcommand
}
