package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
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

// unknownCommand is the error for a name that no command behind parent has.
func unknownCommand(parent *cobra.Command, name string) error {
	err := fmt.Errorf("unknown command %q for %q", name, parent.CommandPath())
	parent.SuggestionsMinimumDistance = 2
	near := parent.SuggestionsFor(name)
	if len(near) == 0 {
		return hintError{err: err, hint: "`" + parent.CommandPath() + " --help` shows them all"}
	}
	for i := range near {
		near[i] = "`" + parent.CommandPath() + " " + near[i] + "`"
	}
	return hintError{err: err, hint: "did you mean " + strings.Join(near, " or ") + "?"}
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
