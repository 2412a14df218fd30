package main

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// exampleCommands are commands that can be pasted to try a tool. One that is about a file gets a session
// with that file in it: the temporary session of a call is empty.
func exampleCommands(tool *sandgatev1.Tool) []string {
	call := func(flags, name, arguments string) string {
		return printable("sandgate call " + name + flags + " --json '" + strings.ReplaceAll(arguments, "'", `'\''`) + "'")
	}
	arguments := exampleArguments(tool.GetInputSchema())
	if tool.GetName() == "file_diff" { // it takes one of two others, too
		arguments = `{"path":"` + exampleText("path") + `","text":"another text"}`
	}
	pack := `{"paths":["` + exampleText("path") + `"],"destination":"notes.zip"}`
	switch tool.GetName() {
	case "file_archive": // the name of the archive tells its format
		arguments = pack
	case "file_extract": // it takes an archive
		arguments = `{"path":"notes.zip","destination":"unpacked"}`
	}
	switch tool.GetName() {
	case "file_extract":
		return []string{
			"id=$(sandgate session create)",
			call(" --session $id", "file_write", `{"path":"`+exampleText("path")+`","text":"`+exampleText("text")+`"}`),
			call(" --session $id", "file_archive", pack),
			call(" --session $id", tool.GetName(), arguments),
			"sandgate session delete $id",
		}
	case "workspace_changes", "workspace_undo": // they take a checkpoint, and a change
		return []string{
			"id=$(sandgate session create)",
			call(" --session $id", "workspace_checkpoint", "{}"),
			call(" --session $id", "file_write", `{"path":"`+exampleText("path")+`","text":"`+exampleText("text")+`"}`),
			call(" --session $id", tool.GetName(), arguments),
			"sandgate session delete $id",
		}
	case "file_archive", "file_copy", "file_diff", "file_edit", "file_hash", "file_move", "file_read", "file_read_document", "file_remove", "file_stat":
		return []string{
			"id=$(sandgate session create)",
			call(" --session $id", "file_write", `{"path":"`+exampleText("path")+`","text":"`+exampleText("text")+`"}`),
			call(" --session $id", tool.GetName(), arguments),
			"sandgate session delete $id",
		}
	}
	if tool.GetProcedure() == "" { // one of the operator's own, which may take files
		return []string{
			"id=$(sandgate session create --deferred)",
			call(" --session $id", "file_write", `{"path":"`+exampleText("path")+`","text":"`+exampleText("text")+`"}`),
			call(" --session $id", tool.GetName(), arguments),
			"sandgate session delete $id",
		}
	}
	return []string{call("", tool.GetName(), arguments)}
}

// exampleArguments are arguments that a tool takes, as JSON: the required ones, each with a value of
// its type.
func exampleArguments(schema *structpb.Struct) string {
	properties := schema.GetFields()["properties"].GetStructValue().GetFields()
	arguments := map[string]any{}
	for _, name := range schema.GetFields()["required"].GetListValue().GetValues() {
		property := properties[name.GetStringValue()].GetStructValue().GetFields()
		arguments[name.GetStringValue()] = exampleValue(name.GetStringValue(), property)
	}
	raw, err := json.Marshal(arguments)
	if err != nil {
		return "{}" // there is nothing in it that JSON could not hold
	}
	return string(raw)
}

// exampleValue is a value that an argument may have.
func exampleValue(name string, property map[string]*structpb.Value) any {
	if choices := property["enum"].GetListValue().GetValues(); len(choices) > 0 {
		return choices[0].AsInterface()
	}
	kind := property["type"].GetStringValue()
	if kinds := property["type"].GetListValue().GetValues(); len(kinds) > 0 {
		kind = kinds[0].GetStringValue()
	}
	switch kind {
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "array":
		if name == "paths" {
			return []any{exampleText("path")}
		}
		if property["minItems"].GetNumberValue() > 0 {
			return []any{exampleValue(name, property["items"].GetStructValue().GetFields())}
		}
		return []any{}
	case "object":
		return map[string]any{}
	default:
		return exampleText(name)
	}
}

// exampleText is what an argument of a well known name may be; others are any text.
func exampleText(name string) string {
	switch name {
	case "code":
		return "6*7"
	case "command":
		return "ls -l"
	case "path", "source":
		return "notes.txt"
	case "destination":
		return "moved.txt"
	case "patch":
		return "--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1 @@\n+text\n"
	default:
		return "text"
	}
}
