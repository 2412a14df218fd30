package main

import (
	"encoding/json"

	"google.golang.org/protobuf/types/known/structpb"
)

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
	case "path":
		return "notes.txt"
	default:
		return "text"
	}
}
