package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// toolsCommand is `sandgate tools`.
func (a *app) toolsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tools",
		Short:   "Show the tools that models may call",
		GroupID: groupUse,
		Args:    noArguments,
		RunE:    needsSubcommand,
		Example: `  sandgate tools list
  sandgate tools describe python_run
  sandgate tools list --format openai`,
	}
	cmd.AddCommand(a.toolsList(), a.toolsDescribe())
	return cmd
}

func (a *app) toolsDescribe() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "Describe a tool and its arguments",
		Args:  namedArguments,
		RunE: interruptible(func(ctx context.Context, args []string) error {
			reply, err := a.catalogue(ctx)
			if err != nil {
				return err
			}
			index := slices.IndexFunc(reply.GetTools(), func(t *sandgatev1.Tool) bool { return t.GetName() == args[0] })
			if index < 0 {
				return noSuchTool(args[0], reply.GetTools())
			}
			if asJSON {
				return a.printJSON(reply.GetTools()[index])
			}
			return a.printTool(reply.GetTools()[index])
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it with its JSON Schemas")
	return cmd
}

// catalogue asks the gateway for its tools.
func (a *app) catalogue(ctx context.Context) (*sandgatev1.ListToolsResponse, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	return c.tools.ListTools(ctx, &sandgatev1.ListToolsRequest{})
}

// noSuchTool is the error for a name that none of the tools has, with which may have been meant.
func noSuchTool(name string, tools []*sandgatev1.Tool) error {
	names := make([]string, len(tools))
	for i, tool := range tools {
		names[i] = tool.GetName()
	}
	hint := "`sandgate tools list` shows them all"
	if near := meant(name, names); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "? " + hint
	}
	return hintError{err: fmt.Errorf("there is no tool %q", name), hint: hint}
}

// printTool shows a tool as a person reads it.
func (a *app) printTool(tool *sandgatev1.Tool) error {
	served := "It is the operator's own."
	if tool.GetProcedure() != "" {
		served = "RPC: " + tool.GetProcedure()
	}
	if _, err := fmt.Fprintf(a.out, "%s\n\n%s\n\nChanges something: %s. Scopes: %s. %s\n\nArguments:\n",
		printable(tool.GetName()), printable(tool.GetDescription()), yesNo(tool.GetSideEffects()),
		printable(strings.Join(tool.GetScopes(), ", ")), printable(served)); err != nil {
		return err
	}
	rows := arguments(tool.GetInputSchema())
	if len(rows) == 0 {
		rows = [][]string{{"  none"}}
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "\nTry it:\n  %s\n", strings.Join(exampleCommands(tool), "\n  "))
	return err
}

// arguments are the properties of a schema: name, type, need and comment.
func arguments(schema *structpb.Struct) [][]string {
	required := map[string]bool{}
	for _, name := range schema.GetFields()["required"].GetListValue().GetValues() {
		required[name.GetStringValue()] = true
	}
	var rows [][]string
	for name, value := range schema.GetFields()["properties"].GetStructValue().GetFields() {
		property := value.GetStructValue().GetFields()
		need := ""
		if required[name] {
			need = "required"
		}
		comment := strings.Join(strings.Fields(property["description"].GetStringValue()), " ")
		rows = append(rows, []string{"  " + name, schemaType(property), need, comment})
	}
	slices.SortFunc(rows, func(x, y []string) int {
		return cmp.Or(-cmp.Compare(x[2], y[2]), cmp.Compare(x[0], y[0]))
	})
	return rows
}

// schemaType is the type of a property in a word.
func schemaType(property map[string]*structpb.Value) string {
	if name := property["type"].GetStringValue(); name != "" {
		return name
	}
	var names []string
	for _, name := range property["type"].GetListValue().GetValues() {
		names = append(names, name.GetStringValue())
	}
	return cmp.Or(strings.Join(names, " or "), "any")
}

// firstSentence shortens a comment for a table.
func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if before, _, found := strings.Cut(text, ". "); found {
		return before + "."
	}
	return text
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
