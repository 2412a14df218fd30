package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// runtime is what gets registered: a program and the arguments the engine gives it.
type runtime struct {
	path string
	args []string
}

// object is a JSON object of which only some members are understood. The others keep their bytes.
type object map[string]json.RawMessage

// merge returns the configuration with the runtime in it, and whether it differs from what was
// there. An entry of that name keeps what it says beyond the path, and keeps its own value for an
// argument that it sets already: an operator's choice outranks ours.
func merge(config []byte, name string, want runtime) ([]byte, bool, error) {
	root, err := decode(config)
	if err != nil {
		return nil, false, err
	}
	runtimes, err := decode(root["runtimes"])
	if err != nil {
		return nil, false, fmt.Errorf("runtimes: %w", err)
	}
	entry, err := decode(runtimes[name])
	if err != nil {
		return nil, false, fmt.Errorf("runtimes.%s: %w", name, err)
	}
	changed, err := entry.apply(want)
	if err != nil || !changed {
		return config, false, err
	}
	if runtimes[name], err = json.Marshal(entry); err != nil {
		return nil, false, err
	}
	if root["runtimes"], err = json.Marshal(runtimes); err != nil {
		return nil, false, err
	}
	merged, err := json.MarshalIndent(root, "", "  ")
	return append(merged, '\n'), true, err
}

// apply puts the runtime into its entry and says whether that changed it.
func (o object) apply(want runtime) (bool, error) {
	var path string
	var args []string
	if err := o.member("path", &path); err != nil {
		return false, err
	}
	if err := o.member("runtimeArgs", &args); err != nil {
		return false, err
	}
	merged := addMissing(args, want.args)
	if path == want.path && len(merged) == len(args) {
		return false, nil
	}
	encodedPath, err := json.Marshal(want.path)
	if err != nil {
		return false, err
	}
	encodedArgs, err := json.Marshal(merged)
	if err != nil {
		return false, err
	}
	o["path"], o["runtimeArgs"] = encodedPath, encodedArgs
	return true, nil
}

// member decodes one member, if it is there.
func (o object) member(name string, into any) error {
	raw, ok := o[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// addMissing appends those of more whose flag is not among args yet, whatever its value.
func addMissing(args, more []string) []string {
	merged := append([]string{}, args...)
	for _, arg := range more {
		flag, _, _ := strings.Cut(arg, "=")
		if !slices.ContainsFunc(merged, func(have string) bool {
			name, _, _ := strings.Cut(have, "=")
			return name == flag
		}) {
			merged = append(merged, arg)
		}
	}
	return merged
}

// decode reads an object; nothing, blanks and null are an empty one.
func decode(raw []byte) (object, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return object{}, nil
	}
	decoded := object{}
	if err := json.Unmarshal(raw, &decoded); err != nil {
		return nil, fmt.Errorf("not a JSON object, so it is left alone: %w", err)
	}
	if decoded == nil {
		decoded = object{}
	}
	return decoded, nil
}
