package wasmtool

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/workspace"
)

// home is the directory of a session in which its files are, and a tool sees the ones it is given at the same path.
const home = "/home/user"

// Bounds of the files of one call.
const (
	maxFiles    = 64
	maxFetched  = 32 << 20 // bytes, of all together
	maxWritten  = 16 << 20 // bytes, of all together
	maxStored   = 4 << 20  // bytes of one, as file_write has it
	maxOutFiles = 16
	maxPath     = 4096 // bytes
)

// paths returns the files that a call names, absolute, each once, and puts these in the place of what was written
// in the arguments, which fit the schema.
func (t *terms) paths(arguments map[string]any) ([]string, error) {
	var all []string
	add := func(given string) (string, error) {
		name, err := t.allowed(given)
		if err == nil && !slices.Contains(all, name) {
			all = append(all, name)
		}
		if len(all) > maxFiles {
			err = refused("a call takes at most %d files", maxFiles)
		}
		return name, err
	}
	for _, field := range t.manifest.Files {
		var err error
		switch value := arguments[field].(type) {
		case string:
			arguments[field], err = add(value)
		case []any:
			for i, item := range value {
				if text, ok := item.(string); ok && err == nil {
					value[i], err = add(text)
				}
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// allowed returns the absolute path of a file that the tool may be given.
func (t *terms) allowed(given string) (string, error) {
	name := given
	if !path.IsAbs(name) {
		name = path.Join(home, name)
	}
	name = path.Clean(name)
	below, ok := strings.CutPrefix(name, home+"/")
	if given == "" || len(name) > maxPath || strings.ContainsRune(given, 0) || !ok || !matches(t.read, below) {
		return "", refused("%q is no file that this tool may be given", guestrpc.Clip(given, 256))
	}
	return name, nil
}

// mayWrite tells whether the tool may write a path below home.
func (t *terms) mayWrite(below string) bool {
	return path.Clean(below) == below && len(home)+1+len(below) <= maxPath && !strings.ContainsRune(below, 0) && matches(t.write, below)
}

func matches(globs []*workspace.Glob, name string) bool {
	return slices.ContainsFunc(globs, func(g *workspace.Glob) bool { return g.Match(name) })
}

// refused is the error of arguments that the tool does not take.
func refused(format string, args ...any) error {
	return guestrpc.NewError(connect.CodeInvalidArgument, fmt.Errorf("arguments: "+format, args...), "INVALID_ARGUMENT",
		"ListTools has the schema of the arguments, and which files the tool takes.")
}

// errFetched is for files that are too large together.
func errFetched() error {
	return guestrpc.NewError(connect.CodeFailedPrecondition, fmt.Errorf("the files have more than %d bytes, and a tool is given no more", maxFetched),
		"FILES_TOO_LARGE", "Give it fewer or smaller files, or work on them with a program of your own, such as python_run.")
}

// errUnknown is for a tool that was taken away.
func errUnknown(name string) error {
	return guestrpc.NewError(connect.CodeNotFound, fmt.Errorf("there is no tool %q any more", name), "TOOL_NOT_FOUND", "ListTools shows those that there are.")
}

// errClosed is for a gateway that ends.
func errClosed() error {
	return guestrpc.NewError(connect.CodeUnavailable, errors.New("the gateway is shutting down"), "DRAINING", "Try again at another gateway, or when it is back.")
}
