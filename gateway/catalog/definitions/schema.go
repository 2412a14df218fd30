package definitions

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
)

// input returns the schema of a tool's arguments in a form that every API takes, and in words what
// could not stay in it. OpenAI and Anthropic refuse all tools of a request when the top level of one
// schema combines others, so that "one of these two" becomes a sentence; the gateway checks it anyway.
// The dialect is left out: all of them read draft 2020-12 unless told otherwise.
func input(from *structpb.Struct) (schema map[string]any, rules []string, err error) {
	schema = from.AsMap()
	if schema["type"] != "object" {
		return nil, nil, fmt.Errorf("its arguments are of the type %v, not an object", schema["type"])
	}
	delete(schema, "$schema")
	choices, _ := schema["allOf"].([]any)
	for _, choice := range choices {
		rule, ok := inWords(choice)
		if !ok {
			return nil, nil, fmt.Errorf("there are no words for the rule %v", choice)
		}
		rules = append(rules, rule)
	}
	delete(schema, "allOf")
	for _, keyword := range []string{"anyOf", "oneOf", "not", "enum", "const", "if", "$ref"} {
		if _, ok := schema[keyword]; ok {
			return nil, nil, fmt.Errorf("the top level of its schema has %q, which model APIs refuse", keyword)
		}
	}
	return schema, rules, nil
}

// inWords says what the catalogue writes for a group of fields of which one may be set: oneOf, each
// branch requiring one of them, and perhaps one branch for none.
func inWords(rule any) (string, bool) {
	object, _ := rule.(map[string]any)
	branches, ok := object["oneOf"].([]any)
	if !ok || len(object) != 1 {
		return "", false
	}
	var names []string
	form := "Exactly one of %s must be set."
	for _, branch := range branches {
		fields, _ := branch.(map[string]any)
		required, _ := fields["required"].([]any)
		_, none := fields["not"]
		switch {
		case len(fields) != 1:
			return "", false
		case none:
			form = "At most one of %s may be set."
		case len(required) == 1:
			names = append(names, fmt.Sprintf("`%v`", required[0]))
		default:
			return "", false
		}
	}
	slices.Sort(names)
	if len(names) < 2 {
		return "", false
	}
	last := len(names) - 1
	return fmt.Sprintf(form, strings.Join(names[:last], ", ")+" and "+names[last]), true
}

// describe joins a description and rules. It leaves out whole sentences at the end of the description
// until the text has no more characters than most; zero means that there is no bound.
func describe(description string, rules []string, most int) string {
	tail := strings.Join(rules, " ")
	if tail != "" && description != "" {
		tail = " " + tail
	}
	if most > 0 {
		description = shorten(description, most-len([]rune(tail)))
	}
	return description + tail
}

// shorten cuts a text behind the last sentence that ends within so many characters, or else behind a
// word.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	if most <= 0 {
		return ""
	}
	if text = string(runes[:most+1]); strings.Contains(text, ". ") {
		return text[:strings.LastIndex(text, ". ")+1]
	}
	kept := string(runes[:most-1])
	if end := strings.LastIndex(kept, " "); end > 0 {
		kept = kept[:end]
	}
	return kept + "…"
}
