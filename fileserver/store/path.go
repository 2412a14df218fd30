package store

import (
	"path/filepath"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

// maxDepth bounds how many directories lie above one another below the home, so that every walk reaches
// everything with a bounded number of descriptors.
const maxDepth = maxWalkDepth - 1

// within reports whether a cleaned path is a directory or below it.
func within(path, directory string) bool {
	return path == directory || strings.HasPrefix(path, strings.TrimSuffix(directory, "/")+"/")
}

// checked returns the absolute form of a path, relative ones taken from the home, and refuses what can be no
// file of a workspace.
func (w *Workspace) checked(path string) (string, error) {
	if strings.ContainsRune(path, 0) {
		return "", fail(connect.CodeInvalidArgument, "BAD_PATH", "leave the NUL byte out", "a path holds no NUL byte")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(w.home, path)
	}
	path = filepath.Clean(path)
	switch {
	case !within(path, w.home):
		return "", w.errOutside(path)
	case len(path) >= unix.PathMax:
		return "", fileError(path, unix.ENAMETOOLONG)
	}
	return path, nil
}

// errOutside says why a path that is not below the home is refused.
func (w *Workspace) errOutside(path string) error {
	if w.fixed {
		return fail(connect.CodePermissionDenied, "OUTSIDE_LIBRARY", "use a path below "+w.home, "%q is not below %s", path, w.home)
	}
	for _, system := range []string{"/proc", "/sys", "/dev"} {
		if within(path, system) {
			return fail(connect.CodePermissionDenied, "SYSTEM_PATH", "use a path below /home/user or /tmp",
				"%q is not a place for files", path)
		}
	}
	switch {
	case within(w.home, path):
		return fail(connect.CodePermissionDenied, "WORKSPACE_ROOT", "use a path below /home/user", "%q itself stays", path)
	case within(path, "/tmp"):
		return fail(connect.CodeFailedPrecondition, "NO_SANDBOX_YET", "use a path below /home/user, or run a command first",
			"%q: /tmp exists once something has run in the session", path)
	}
	return fail(connect.CodePermissionDenied, "OUTSIDE_HOME", "use a path below /home/user, or run a command first",
		"%q is not below /home/user; other directories exist once something has run in the session", path)
}

// errRoot says that the home can neither be removed nor replaced.
func errRoot(path string) error {
	return fail(connect.CodePermissionDenied, "WORKSPACE_ROOT", "remove or move what is in it", "%q itself stays", path)
}

func errTooDeep(path string) error {
	return fail(connect.CodeFailedPrecondition, "DIRECTORY_TOO_DEEP", "use fewer directories in one another",
		"%q is, or holds something, more than %d directories deep", path, maxDepth)
}
