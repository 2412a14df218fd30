package fileserver

import (
	"context"
	"errors"
	"path"
	"strings"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/library"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// WithLibraries returns a Files that finds paths below /libraries in a sandbox of their own, which every session may
// read. Nil: there are none.
func (f *Files) WithLibraries(libraries sandbox.Sandbox) *Files {
	with := *f
	with.libraries = libraries
	return &with
}

// shared tells whether a path leads to a library. Symbolic links of a session do not lead there.
func (f *Files) shared(name string) bool {
	if f.libraries == nil || !strings.HasPrefix(name, "/") {
		return false
	}
	name = path.Clean(name)
	return name == library.Root || strings.HasPrefix(name, library.Root+"/")
}

// at returns what finds the sandbox that has the files of these paths.
func (f *Files) at(paths ...string) guestrpc.Sandboxes {
	shared := 0
	for _, name := range paths {
		if f.shared(name) {
			shared++
		}
	}
	if shared == 0 {
		return f.sandboxes
	}
	return place{f, shared < len(paths)}
}

// place finds the libraries, for whoever may use the session that is named.
type place struct {
	files *Files
	mixed bool // some paths are the session's
}

// Sandbox returns the libraries' sandbox. The session's own is asked for first: who may not use it gets nothing.
func (p place) Sandbox(ctx context.Context, sessionID string) (sandbox.Sandbox, error) {
	if _, err := p.files.sandboxes.Sandbox(ctx, sessionID); err != nil {
		return nil, err
	}
	if p.mixed {
		return nil, guestrpc.NewError(connect.CodeInvalidArgument, errors.New("some of the paths are in a library, and others are not"),
			"MIXED_PLACES", "Copy the library's file to /home/user with file_copy first.")
	}
	return p.files.libraries, nil
}
