package guest

import (
	"context"
	"encoding/base64"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	defaultPage = 1000
	maxPage     = 10_000
)

// ListFiles lists a directory. The page token is the last path of the page before, in a form that
// a message can hold: the path need not be UTF-8.
func (s *fileService) ListFiles(ctx context.Context, req *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	p, err := newPage(req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	w := &walk{guest: s.guest, root: path, after: p.after}
	depth := int(max(req.GetDepth(), 1))
	err = w.run(ctx, func(e walked) (step, error) {
		if w.fresh(e) && !p.add(e) {
			return walkEnd, nil
		}
		if e.mode() == unix.S_IFDIR && len(w.levels) < depth {
			return walkOn, w.enter(e)
		}
		return walkOn, nil
	}, nil)
	if err != nil {
		return nil, fileError(path, err)
	}
	return &sandgatev1.ListFilesResponse{Files: p.files, NextPageToken: p.token()}, nil
}

// page collects the files of one page.
type page struct {
	after string // the page begins behind this path
	room  int
	files []*sandgatev1.FileInfo
	last  string // path up to which everything was told
	more  bool
}

// newPage returns an empty page of some size, which begins at the token of the page before.
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

// add adds an entry, and reports whether there was room. It must be called as the user.
func (p *page) add(e walked) bool {
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
