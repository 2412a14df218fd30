package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/gateway/catalog/definitions"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The forms of the list besides those of model APIs.
const (
	formTable = "table"
	formJSON  = "json"
)

const toolsListLong = `Lists the tools: as a table, as the gateway's own JSON, or as the value of the field
"tools" of a request to a model.

  table             name, whether it changes something, what it does
  json              the reply of ToolService/ListTools, output schemas included
  openai            functions of OpenAI's Chat Completions, and of servers that imitate it
  openai-responses  functions of OpenAI's Responses
  anthropic         tools of Anthropic's Messages
  mcp               tools of the Model Context Protocol, as tools/list returns them

A tool's arguments do not hold the session: a model neither knows nor chooses it. Your
program creates a session, and makes each call that the model asks for with
ToolService/CallTool: session_id is your session's, name and arguments are the
model's (OpenAI writes arguments as a text of JSON, which is parsed first). "content"
of the reply is what the model should read.

Functions of OpenAI's are not strict: a strict one must require every argument, and
most of these may be left out. The gateway checks the arguments and says what is wrong.`

func (a *app) toolsList() *cobra.Command {
	var asJSON bool
	form := formTable
	forms := []string{formTable, formJSON}
	for _, format := range definitions.Formats() {
		forms = append(forms, string(format))
	}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the tools, also as definitions for model APIs",
		Long:    toolsListLong,
		Example: `  sandgate tools list
  sandgate tools list --format openai > tools.json
  sandgate tools list --format anthropic | jq 'map(select(.name | startswith("file_")))'`,
		Args: noArguments,
		RunE: interruptible(func(ctx context.Context, _ []string) error {
			switch {
			case !slices.Contains(forms, form):
				return usagef("--format: there is no %q; there are: %s", form, strings.Join(forms, ", "))
			case asJSON && form != formTable && form != formJSON:
				return usagef("--json and --format %s are two forms; name one", form)
			case asJSON:
				form = formJSON
			}
			reply, err := a.catalogue(ctx)
			if err != nil {
				return err
			}
			return a.printTools(reply, form)
		}),
	}
	cmd.Flags().StringVar(&form, "format", form, strings.Join(forms, ", "))
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	return cmd
}

// printTools prints the catalogue in one of the forms.
func (a *app) printTools(reply *sandgatev1.ListToolsResponse, form string) error {
	switch form {
	case formJSON:
		return a.printJSON(reply)
	case formTable:
		rows := [][]string{{"NAME", "CHANGES", "WHAT IT DOES"}}
		for _, tool := range reply.GetTools() {
			rows = append(rows, []string{tool.GetName(), yesNo(tool.GetSideEffects()), firstSentence(tool.GetDescription())})
		}
		return table(a.out, rows)
	default:
		list, err := definitions.Of(definitions.Format(form), reply.GetTools())
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(a.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	}
}
