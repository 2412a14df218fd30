package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/gateway/catalog"
)

// completionPatience is how long a completion waits for the gateway: somebody looks at the cursor.
const completionPatience = 2 * time.Second

// suggester is cobra's form of a function that completes an argument or the value of a flag. What is
// not known, or not in time, completes to nothing.
type suggester = cobra.CompletionFunc

// addCompletions tells the shells what to offer for arguments and flags. Files are offered where one is
// wanted and nowhere else.
func (a *app) addCompletions(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	for command, suggest := range map[string]suggester{
		"py":             suggestFiles,
		"cp":             a.suggestCopy,
		"call":           first(suggestTools),
		"tools describe": first(suggestTools),
		"session get":    first(a.suggestSessions),
		"session extend": first(a.suggestSessions),
		"session delete": a.suggestSessions,
		"calls get":      first(a.suggestCalls(false)),
		"calls attach":   first(a.suggestCalls(false)),
		"calls cancel":   first(a.suggestCalls(true)),
		"config check":   first(suggestFiles),
		"wasm run":       first(suggestFiles),
		"wasm check":     first(suggestFolders),
	} {
		if cmd, _, err := root.Find(strings.Fields(command)); err == nil {
			cmd.ValidArgsFunction = suggest
		}
	}
	flags := map[string]suggester{
		"session":   a.suggestSessions,
		"template":  cobra.FixedCompletions([]string{"python", "data"}, cobra.ShellCompDirectiveNoFileComp),
		"images":    suggestFolders,
		"state-dir": suggestFolders,
		"config":    suggestFiles,
		"tls-cert":  suggestFiles,
		"tls-key":   suggestFiles,
		"manifest":  suggestFiles,
		"out":       suggestFolders,
	}
	eachCommand(root, func(cmd *cobra.Command) {
		for name, suggest := range flags {
			if cmd.LocalFlags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, suggest) // the flag is there, and has none yet
			}
		}
	})
}

// eachCommand calls do with a command and all behind it.
func eachCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, child := range cmd.Commands() {
		eachCommand(child, do)
	}
}

// first is a suggester for the first argument alone.
func first(suggest suggester) suggester {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return suggest(cmd, args, begun)
	}
}

func suggestFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func suggestFolders(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// suggestTools offers the tools that this program knows: a gateway is not asked.
func suggestTools(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	known, err := catalog.New()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var tools []cobra.Completion
	for _, tool := range known.Tools() {
		tools = append(tools, cobra.CompletionWithDesc(tool.Proto.GetName(), firstSentence(tool.Proto.GetDescription())))
	}
	return tools, cobra.ShellCompDirectiveNoFileComp
}

// suggestSessions offers the sessions of the gateway, those apart that are named already.
func (a *app) suggestSessions(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	sessions, err := a.allSessions(ctx, nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []cobra.Completion
	for _, s := range sessions {
		if id := printable(s.GetId()); !slices.Contains(args, id) {
			ids = append(ids, cobra.CompletionWithDesc(id, printable(s.GetTemplate())+", made "+moment(s.GetCreatedAt())))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// suggestCopy offers local files, and, once something is typed that is the beginning of one, sessions.
// What is in a session is not looked up.
func (a *app) suggestCopy(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case len(args) > 1 || parseLocation(begun).remote():
		return nil, cobra.ShellCompDirectiveNoFileComp
	case begun == "":
		return nil, cobra.ShellCompDirectiveDefault
	}
	ids, _ := a.suggestSessions(cmd, nil, begun)
	var ends []cobra.Completion
	for _, id := range ids {
		if strings.HasPrefix(id, begun) {
			id, about, _ := strings.Cut(id, "\t")
			ends = append(ends, cobra.CompletionWithDesc(id+":", about))
		}
	}
	if len(ends) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return ends, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
