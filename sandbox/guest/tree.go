package guest

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	defaultPage = 1000
	maxPage     = 10_000
	// maxVisited bounds how many entries one listing looks at, so that a directory of millions
	// costs bounded memory and time.
	maxVisited = 200_000
)

// ListFiles lists a directory. The page token is the last path of the page before, in a form that
// a message can hold: the path need not be UTF-8.
func (s *fileService) ListFiles(ctx context.Context, req *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
	if err != nil {
		return nil, fail(connect.CodeInvalidArgument, "BAD_PAGE_TOKEN", "give the next_page_token of the page before",
			"%q is no page token", req.GetPageToken())
	}
	l := lister{
		guest: s.guest,
		depth: int(max(req.GetDepth(), 1)),
		after: string(after),
		room:  int(req.GetPageSize()),
	}
	if l.room <= 0 {
		l.room = defaultPage
	}
	l.room = min(l.room, maxPage)
	err = s.guest.asUser(ctx, func() error {
		dir, err := s.guest.openDirectory(path, toRead)
		if err != nil {
			return err
		}
		defer dir.close()
		return l.list(ctx, dir, path, 1)
	})
	if err != nil {
		return nil, fileError(path, err)
	}
	res := &sandgatev1.ListFilesResponse{Files: l.files}
	if l.more && len(l.files) > 0 {
		res.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(l.last))
	}
	return res, nil
}

// lister walks a directory in the order of the paths' bytes, with a directory before its entries. It
// keeps a descriptor for each level, of which the API allows 64.
type lister struct {
	guest   *Guest
	depth   int
	after   string // list what comes behind this path
	room    int
	visited int
	files   []*sandgatev1.FileInfo
	last    string
	more    bool
}

func (l *lister) list(ctx context.Context, dir directory, path string, level int) error {
	names, err := l.names(dir, path)
	if err != nil {
		return err
	}
	for _, name := range names {
		child := strings.TrimSuffix(path, "/") + "/" + name
		// A directory behind which the page ended before may hold entries that come next.
		if l.after != "" && !before(l.after, child) && !strings.HasPrefix(l.after, child+"/") && l.after != child {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		info, err := dir.describe(name, child)
		switch {
		case errors.Is(err, unix.ENOENT):
			continue // it went meanwhile
		case err != nil: // it is there, and that is all that can be told
			info = &sandgatev1.FileInfo{Path: validText(child), Type: sandgatev1.FileType_FILE_TYPE_OTHER}
		}
		if l.after == "" || before(l.after, child) {
			if len(l.files) >= l.room {
				l.more = true
				return nil
			}
			l.files = append(l.files, info)
			l.last = child
		}
		if info.GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY && level < l.depth {
			if err := l.enter(ctx, dir, name, child, level+1); err != nil || l.more {
				return err
			}
		}
	}
	return nil
}

// enter lists a directory in another, unless it went meanwhile, may not be read, is a view into the
// kernel, or has a path so long that no call could name what is in it.
func (l *lister) enter(ctx context.Context, dir directory, name, path string, level int) error {
	if len(path) >= unix.PathMax {
		return nil
	}
	below, err := dir.open(name)
	if err != nil {
		return exhausted(err)
	}
	defer below.close()
	if l.guest.checkDirectory(below, path) != nil {
		return nil // it is listed, and what is in it is no files
	}
	return l.list(ctx, below, path, level)
}

// exhausted returns an error that says that the guest is short of something, and nil for any other.
func exhausted(err error) error {
	for _, short := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, short) {
			return err
		}
	}
	return nil
}

// before tells the order of two paths: component by component, which is that of the walk.
func before(a, b string) bool {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) < 0
}

// names returns the sorted names in a directory.
func (l *lister) names(dir directory, path string) ([]string, error) {
	var names []string
	buf := make([]byte, direntBuffer)
	for {
		more, err := dir.read(buf)
		if err != nil && !errors.Is(err, unix.ENOENT) { // which a removed directory says
			return nil, err
		}
		if len(more) == 0 {
			slices.Sort(names)
			return names, nil
		}
		if l.visited += len(more); l.visited > maxVisited {
			return nil, fail(connect.CodeResourceExhausted, "DIRECTORY_TOO_LARGE", "list a smaller directory, or use the shell",
				"%q holds more than %d entries", path, maxVisited)
		}
		names = append(names, more...)
	}
}
