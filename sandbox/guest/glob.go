package guest

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/workspace"
)

// searchTime is how long a page of a search may take.
const searchTime = 5 * time.Second

// Glob finds files by a pattern. Its page token is like that of ListFiles.
func (s *fileService) Glob(ctx context.Context, req *sandgatev1.GlobRequest) (*sandgatev1.GlobResponse, error) {
	root, pattern := req.GetPath(), req.GetPattern()
	if filepath.IsAbs(pattern) {
		root, pattern = splitPattern(pattern)
	}
	path, err := s.guest.checked(root)
	if err != nil {
		return nil, err
	}
	glob, err := workspace.ParseGlob(pattern, req.GetIncludeHidden())
	if err != nil {
		return nil, errPattern(err)
	}
	p, err := newPage(req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	w := &walk{guest: s.guest, root: path, after: p.after}
	end := time.Now().Add(searchTime)
	err = w.run(ctx, func(e walked) (step, error) {
		if w.fresh(e) {
			if glob.Match(e.rel) && !p.add(e) {
				return walkEnd, nil
			}
			p.last = e.path
		}
		if e.mode() == unix.S_IFDIR && glob.Below(e.rel) {
			return walkOn, w.enter(e)
		}
		if time.Now().After(end) {
			p.more = true
			return walkEnd, nil
		}
		return walkOn, nil
	}, nil)
	if err != nil {
		return nil, fileError(path, err)
	}
	return &sandgatev1.GlobResponse{Files: p.files, Unreadable: w.unreadable, NextPageToken: p.token()}, nil
}

// splitPattern splits an absolute pattern into the directory that it begins with and the rest.
func splitPattern(pattern string) (root, rest string) {
	names := strings.Split(pattern, "/")
	for i, name := range names {
		if i == len(names)-1 || strings.ContainsAny(name, `*?[]{}\`) {
			return "/" + strings.Join(names[:i], "/"), strings.Join(names[i:], "/")
		}
	}
	return "/", pattern
}

// errPattern is for a pattern that means nothing.
func errPattern(err error) error {
	if !errors.Is(err, workspace.ErrPattern) {
		return err
	}
	return fail(connect.CodeInvalidArgument, "BAD_PATTERN",
		`put a backslash before characters that stand for themselves, or search for a text with literal`, "%v", err)
}
