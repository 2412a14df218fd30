package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a configuration file.
const maxFileBytes = 1 << 20

// A Problem is one thing wrong with a configuration.
type Problem struct {
	// Source is where it was written: a file, an environment variable, a flag; empty when it is in
	// how fields fit together.
	Source string
	// Line is the line of the file, counted from 1. Zero when the source is not a file.
	Line int
	// Field is the setting's key. Empty when the problem is with the whole.
	Field string
	// Text says what is wrong and what would be right.
	Text string
}

// Error returns the problem in one line.
func (p Problem) Error() string {
	var where strings.Builder
	where.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&where, ":%d", p.Line)
	}
	parts := make([]string, 0, 3)
	for _, part := range []string{where.String(), p.Field, p.Text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// Problems is everything wrong with a configuration. It is an error.
type Problems []Problem

// Error returns the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Input is where a configuration comes from, the strongest last.
type Input struct {
	// File is the file to read. Empty: the first of the usual places that exists, if any.
	File string
	// Env looks up environment variables.
	Env Env
	// Names are those of all environment variables. One that is nearly a setting's is refused.
	Names []string
	// Flags are the values given on the command line, by key.
	Flags map[string]string
}

// Loaded is a configuration and where it came from.
type Loaded struct {
	// Config holds the effective values.
	Config Config
	// File is the file that was read. Empty: none was.
	File string
	// Origins says for each key where its value came from: "default", "file:LINE", the name of an
	// environment variable, or a flag.
	Origins map[string]string
}

// Load puts the configuration together and checks it. Its error is of type [Problems] and holds
// everything that is wrong; the configuration is returned beside it, for show.
func Load(in Input) (*Loaded, error) {
	loaded := &Loaded{Config: Default(in.Env), Origins: map[string]string{}}
	fields := Fields()
	for _, field := range fields {
		loaded.Origins[field.Key] = "default"
	}
	problems := loaded.readFile(in)
	for _, field := range fields {
		if text, set := in.Env(field.Env()); set {
			problems = append(problems, loaded.set(field, text, Problem{Source: field.Env()})...)
		}
		if text, set := in.Flags[field.Key]; set {
			problems = append(problems, loaded.set(field, text, Problem{Source: "--" + field.Flag()})...)
		}
	}
	problems = append(problems, checkNames(in.Names)...)
	problems = append(problems, check(&loaded.Config)...)
	if len(problems) > 0 {
		return loaded, problems
	}
	return loaded, nil
}

// set gives a field a value, or returns what is wrong with it.
func (l *Loaded) set(field Field, text string, where Problem) Problems {
	if err := field.Set(&l.Config, text); err != nil {
		where.Field, where.Text = field.Key, err.Error()
		return Problems{where}
	}
	l.Origins[field.Key] = where.Source
	if where.Line > 0 {
		l.Origins[field.Key] = fmt.Sprintf("%s:%d", where.Source, where.Line)
	}
	return nil
}

// readFile finds the file, reads it and sets the fields that it names.
func (l *Loaded) readFile(in Input) Problems {
	name := in.File
	if name == "" {
		name = in.Env.Get(envPrefix + "CONFIG")
	}
	candidates := []string{name}
	if name == "" {
		candidates = defaultFiles(in.Env)
	}
	for _, candidate := range candidates {
		data, err := readBounded(candidate)
		if name == "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		l.File = candidate
		if err != nil {
			return Problems{{Source: candidate, Text: "cannot be read: " + reason(err)}}
		}
		return l.apply(candidate, data)
	}
	return nil
}

// apply sets the fields that a file's text names.
func (l *Loaded) apply(file string, data []byte) Problems {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return Problems{{Source: file, Text: "is not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	if root.Kind == 0 {
		return nil // an empty file sets nothing
	}
	mapping := root.Content[0]
	if mapping.Kind != yaml.MappingNode {
		return Problems{{Source: file, Line: mapping.Line, Text: "must be a list of `setting: value` lines"}}
	}
	known := map[string]Field{}
	for _, field := range Fields() {
		known[field.Key] = field
	}
	var problems Problems
	seen := map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, node := mapping.Content[i], mapping.Content[i+1]
		where := Problem{Source: file, Line: key.Line, Field: key.Value}
		field, ok := known[key.Value]
		switch text, err := field.read(node); {
		case !ok:
			where.Text = "is not a setting" + closest(key.Value, known)
			problems = append(problems, where)
		case seen[key.Value]:
			where.Text = "is set twice"
			problems = append(problems, where)
		case err != nil:
			where.Text = err.Error()
			problems = append(problems, where)
		default:
			problems = append(problems, l.set(field, text, where)...)
		}
		seen[key.Value] = true
	}
	return problems
}

// read returns a value as the text that Set takes.
func (f Field) read(node *yaml.Node) (string, error) {
	if !f.nested {
		return scalar(node)
	}
	text, err := yaml.Marshal(node)
	return string(text), err
}

// scalar returns a value as text; a sequence becomes its items with commas between them.
func scalar(node *yaml.Node) (string, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		if node.Tag == "!!null" {
			return "", nil
		}
		return node.Value, nil
	case yaml.SequenceNode:
		items := make([]string, 0, len(node.Content))
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("may only hold plain values")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	default:
		return "", errors.New("must be one plain value, or a list of them")
	}
}

// readBounded reads a file of at most maxFileBytes.
func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("it is larger than %s", FormatSize(maxFileBytes))
	}
	return data, nil
}

// reason is an error without the path, which the reader has seen already.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}
