package store

import (
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/workspace"
)

const (
	defaultPage = 1000
	maxPage     = 10_000
	// searchTime is how long a page of a search may take.
	searchTime = 5 * time.Second
)

// ListFiles lists a directory. The page token is the last path of the page before, in a form that a message can
// hold: the path need not be UTF-8. A guest goes on with it.
func (w *Workspace) ListFiles(ctx context.Context, req *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
	p, err := newPage(req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.ListFilesResponse, error) {
		walk := walk{view: v, root: path, after: p.after}
		depth := int(max(req.GetDepth(), 1))
		err := walk.each(ctx, func(e entry) (bool, error) {
			if walk.fresh(e) && !p.add(e) {
				return false, nil
			}
			if e.is(unix.S_IFDIR) && len(walk.levels) < depth {
				return true, walk.enter(e)
			}
			return true, nil
		})
		return &sandgatev1.ListFilesResponse{Files: p.files, NextPageToken: p.token()}, err
	})
}

// page collects the files of one page.
type page struct {
	after string // the page begins behind this path
	room  int
	files []*sandgatev1.FileInfo
	last  string // path up to which everything was told
	more  bool
}

func newPage(size int32, token string) (*page, error) {
	after, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil, errPageToken(token)
	}
	if size <= 0 {
		size = defaultPage
	}
	return &page{after: string(after), last: string(after), room: min(int(size), maxPage)}, nil
}

func errPageToken(token string) error {
	return fail(connect.CodeInvalidArgument, "BAD_PAGE_TOKEN", "give the next_page_token of the page before", "%q is no page token", token)
}

// add adds an entry, and reports whether there was room.
func (p *page) add(e entry) bool {
	if len(p.files) >= p.room {
		p.more = true
		return false
	}
	p.files = append(p.files, e.describe())
	p.last = e.path
	return true
}

// token returns the token of the next page, empty if this is the last one.
func (p *page) token() string {
	if !p.more || p.last == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(p.last))
}

// Glob finds files by a pattern. Its page token is like that of ListFiles.
func (w *Workspace) Glob(ctx context.Context, req *sandgatev1.GlobRequest) (*sandgatev1.GlobResponse, error) {
	root, pattern := req.GetPath(), req.GetPattern()
	if filepath.IsAbs(pattern) {
		root, pattern = fixedPart(pattern)
	}
	if _, err := w.checked(root); err != nil {
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
	return on(w, root, func(v *view, path string) (*sandgatev1.GlobResponse, error) {
		walk := walk{view: v, root: path, after: p.after}
		end := time.Now().Add(searchTime)
		err := walk.each(ctx, func(e entry) (bool, error) {
			if walk.fresh(e) {
				if glob.Match(e.rel) && !p.add(e) {
					return false, nil
				}
				p.last = e.path
			}
			if e.is(unix.S_IFDIR) && glob.Below(e.rel) {
				return true, walk.enter(e)
			}
			p.more = time.Now().After(end)
			return !p.more, nil
		})
		return &sandgatev1.GlobResponse{Files: p.files, Unreadable: walk.unreadable, NextPageToken: p.token()}, err
	})
}

// fixedPart splits an absolute pattern into the directory that it begins with and the rest.
func fixedPart(pattern string) (root, rest string) {
	cut := len(pattern)
	if at := strings.IndexAny(pattern, `*?[]{}\`); at >= 0 {
		cut = at
	}
	cut = strings.LastIndexByte(pattern[:cut], '/')
	return "/" + strings.Trim(pattern[:cut], "/"), pattern[cut+1:]
}

// errPattern is for a pattern that means nothing.
func errPattern(err error) error {
	if !errors.Is(err, workspace.ErrPattern) {
		return err
	}
	return fail(connect.CodeInvalidArgument, "BAD_PATTERN",
		`put a backslash before characters that stand for themselves, or search for a text with literal`, "%v", err)
}
