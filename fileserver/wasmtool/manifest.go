// Package wasmtool turns an operator's WASI programs into tools: a folder holds NAME.wasm and NAME.json for each, the
// second being its [Manifest]. A tool runs as a document's reader does: a fresh instance for each call, with bounded
// memory, time and output, no network, no environment and no file of the host's. Of a session it gets the files that a
// call names and its manifest allows.
package wasmtool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/sandgate/sandgate/sandbox/workspace"
)

// Bounds of manifests, and what holds where they say nothing.
const (
	maxManifest    = 64 << 10 // bytes
	maxDescription = 4 << 10  // bytes
	maxPatterns    = 64
	maxFileNames   = 16 // arguments that are paths

	defaultMemory = 64  // MiB
	maxMemory     = 256 // MiB
	defaultTime   = 10 * time.Second
	maxTime       = time.Minute
	defaultOutput = 256 << 10 // bytes
	maxOutput     = 2 << 20   // bytes
)

// What a tool writes to its stdout.
const (
	// OutputText is text, which is the default.
	OutputText = "text"
	// OutputJSON is one JSON value.
	OutputJSON = "json"
)

// A Manifest is what an operator says of a tool. Fields that it does not have are refused.
type Manifest struct {
	// Description tells models what the tool does. It must be set, and has at most 4 KiB.
	Description string `json:"description"`
	// InputSchema is the JSON Schema (draft 2020-12, without references) of the arguments, an object. Arguments that
	// it does not name are refused, unless it says otherwise.
	InputSchema json.RawMessage `json:"input_schema"`
	// Output is what the tool writes to its stdout: text or json. Empty means text.
	Output string `json:"output,omitempty"`
	// Limits bound one call.
	Limits Limits `json:"limits,omitzero"`
	// SideEffects tells that a call may change something. A tool that writes has them.
	SideEffects bool `json:"side_effects,omitempty"`
	// Files name the arguments that are paths of files, each a string or a list of strings: at most 16.
	Files []string `json:"files,omitempty"`
	// Read are patterns, as of file_glob, below /home/user: of the files that the tool may be given.
	Read []string `json:"read,omitempty"`
	// Write are such patterns of the files that it may write.
	Write []string `json:"write,omitempty"`
}

// Limits bound one call of a tool. Zero means the default.
type Limits struct {
	// MemoryMiB is its memory, in MiB: 64 by default, 256 at most.
	MemoryMiB int64 `json:"memory_mib,omitempty"`
	// TimeMs is how long it may run, in milliseconds: 10,000 by default, 60,000 at most.
	TimeMs int64 `json:"time_ms,omitempty"`
	// OutputBytes bounds its stdout, in bytes: 256 KiB by default, 2 MiB at most.
	OutputBytes int64 `json:"output_bytes,omitempty"`
}

// terms are what a manifest means.
type terms struct {
	manifest Manifest
	schema   map[string]any // of the arguments, as it is listed
	check    *jsonschema.Resolved
	read     []*workspace.Glob
	write    []*workspace.Glob
}

// nameForm is what tools may be called.
func nameForm() *regexp.Regexp { return regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`) }

// checkName refuses names that models or the gateway could not tell from those of other tools.
func checkName(name string, reserved func(string) bool) error {
	if !nameForm().MatchString(name) {
		return fmt.Errorf("a tool's name is of the form [a-z][a-z0-9_]*, at most 63 letters, and not %q", name)
	}
	for _, prefix := range []string{"python", "shell", "file", "browser", "web", "session"} {
		if name == prefix || strings.HasPrefix(name, prefix+"_") {
			return fmt.Errorf("names that begin with %s_ are the gateway's own", prefix)
		}
	}
	if reserved != nil && reserved(name) {
		return fmt.Errorf("the gateway has a tool called %s", name)
	}
	return nil
}

// parseManifest reads a manifest and says what is wrong with it.
func parseManifest(text []byte) (*terms, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	t := &terms{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t.manifest); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something comes after the manifest")
	}
	m := &t.manifest
	m.Description = strings.TrimSpace(m.Description)
	switch {
	case m.Description == "" || len(m.Description) > maxDescription:
		return nil, fmt.Errorf("description must say what the tool does, in at most %d bytes", maxDescription)
	case m.Output != "" && m.Output != OutputText && m.Output != OutputJSON:
		return nil, fmt.Errorf("output is %s or %s, and not %q", OutputText, OutputJSON, m.Output)
	case len(m.Write) > 0 && !m.SideEffects:
		return nil, errors.New("a tool that writes files has side_effects: true")
	case len(m.Files) > 0 && len(m.Read) == 0:
		return nil, errors.New("files are paths, and read allows none: say which, such as [\"**\"]")
	case len(m.Files) == 0 && len(m.Read) > 0:
		return nil, errors.New("read allows files, and files names no argument that is a path")
	case len(m.Files) > maxFileNames:
		return nil, fmt.Errorf("files names more than %d arguments", maxFileNames)
	}
	err := errors.Join(
		bound("memory_mib", &m.Limits.MemoryMiB, defaultMemory, maxMemory),
		bound("time_ms", &m.Limits.TimeMs, defaultTime.Milliseconds(), maxTime.Milliseconds()),
		bound("output_bytes", &m.Limits.OutputBytes, defaultOutput, maxOutput),
	)
	if err != nil {
		return nil, err
	}
	if t.read, err = patterns("read", m.Read); err != nil {
		return nil, err
	}
	if t.write, err = patterns("write", m.Write); err != nil {
		return nil, err
	}
	if err := t.setSchema(m.InputSchema); err != nil {
		return nil, fmt.Errorf("input_schema: %w", err)
	}
	return t, t.checkFiles()
}

// bound puts the default in the place of nothing.
func bound(name string, n *int64, byDefault, most int64) error {
	if *n == 0 {
		*n = byDefault
	}
	if *n < 1 || *n > most {
		return fmt.Errorf("limits.%s must be from 1 to %d", name, most)
	}
	return nil
}

// patterns reads patterns of paths below /home/user.
func patterns(field string, texts []string) ([]*workspace.Glob, error) {
	if len(texts) > maxPatterns {
		return nil, fmt.Errorf("%s has more than %d patterns", field, maxPatterns)
	}
	globs := make([]*workspace.Glob, 0, len(texts))
	for _, text := range texts {
		if strings.HasPrefix(text, "/") {
			return nil, fmt.Errorf("%s: %q must be relative to %s", field, text, home)
		}
		glob, err := workspace.ParseGlob(text, false)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		globs = append(globs, glob)
	}
	return globs, nil
}

// setSchema reads the schema of the arguments.
func (t *terms) setSchema(text json.RawMessage) error {
	if len(text) == 0 {
		return errors.New("it is missing; a tool without arguments has {\"type\": \"object\", \"properties\": {}}")
	}
	if err := checkJSON(text); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &t.schema); err != nil || t.schema == nil {
		return errors.New("it is no JSON object")
	}
	if t.schema["type"] != "object" {
		return errors.New("its type must be \"object\"")
	}
	if refers(t.schema) {
		return errors.New("it has a reference ($ref); write what that stands for in its place, as several models do not follow references")
	}
	if _, ok := t.schema["properties"]; !ok {
		t.schema["properties"] = map[string]any{}
	}
	if _, ok := t.schema["additionalProperties"]; !ok {
		t.schema["additionalProperties"] = false
	}
	whole, err := json.Marshal(t.schema)
	if err != nil {
		return err
	}
	schema := new(jsonschema.Schema)
	if err = json.Unmarshal(whole, schema); err != nil {
		return err
	}
	t.check, err = schema.Resolve(nil)
	return err
}

// refers tells whether there is a reference in a schema.
func refers(schema any) bool {
	switch value := schema.(type) {
	case map[string]any:
		for name, inner := range value {
			if name == "$ref" || name == "$dynamicRef" || refers(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, refers)
	}
	return false
}

// checkFiles refuses arguments that are paths and not texts.
func (t *terms) checkFiles() error {
	properties, _ := t.schema["properties"].(map[string]any)
	for _, name := range t.manifest.Files {
		property, _ := properties[name].(map[string]any)
		items, _ := property["items"].(map[string]any)
		if property["type"] != "string" && (property["type"] != "array" || items["type"] != "string") {
			return fmt.Errorf("files: the property %q of input_schema must be there, and a string or an array of strings", name)
		}
	}
	return nil
}
