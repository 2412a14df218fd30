package guest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	defaultPage = 1000
	maxPage     = 10_000
	// maxVisited bounds how many entries one listing looks at, so that a directory of millions
	// costs bounded memory and time.
	maxVisited = 200_000
)

// describe returns what the API says of a file.
func (s *fileService) describe(path string) (*sandgatev1.FileInfo, error) {
	var described *sandgatev1.FileInfo
	err := s.guest.user.do(func() error {
		info, err := os.Lstat(path)
		if err == nil {
			described = fileInfo(path, info)
		}
		return err
	})
	return described, err
}

// openInfo describes an open file under the name that it has or will have.
func openInfo(path string, file *os.File) (*sandgatev1.FileInfo, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return fileInfo(path, info), nil
}

// fileInfo must be called as the user.
func fileInfo(path string, info fs.FileInfo) *sandgatev1.FileInfo {
	described := &sandgatev1.FileInfo{
		Path:       strings.ToValidUTF8(path, "\uFFFD"),
		Type:       sandgatev1.FileType_FILE_TYPE_OTHER,
		Size:       info.Size(),
		Mode:       uint32(info.Mode().Perm()),
		ModifiedAt: timestamppb.New(info.ModTime()),
	}
	switch {
	case info.Mode().IsRegular():
		described.Type = sandgatev1.FileType_FILE_TYPE_FILE
	case info.IsDir():
		described.Type = sandgatev1.FileType_FILE_TYPE_DIRECTORY
	case info.Mode()&fs.ModeSymlink != 0:
		described.Type = sandgatev1.FileType_FILE_TYPE_SYMLINK
		link, _ := os.Readlink(path)
		described.SymlinkTarget = strings.ToValidUTF8(link, "\uFFFD")
	}
	return described
}

// ListFiles lists a directory. The page token is the last path of the page before.
func (s *fileService) ListFiles(_ context.Context, req *sandgatev1.ListFilesRequest) (*sandgatev1.ListFilesResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	l := lister{
		depth: int(max(req.GetDepth(), 1)),
		after: req.GetPageToken(),
		room:  int(req.GetPageSize()),
	}
	if l.room <= 0 {
		l.room = defaultPage
	}
	l.room = min(l.room, maxPage)
	if err := s.guest.user.do(func() error { return l.list(path, 1) }); err != nil {
		return nil, fileError(path, err)
	}
	res := &sandgatev1.ListFilesResponse{Files: l.files}
	if l.more && len(l.files) > 0 {
		res.NextPageToken = l.last
	}
	return res, nil
}

// lister walks a directory in the order of the paths' bytes, with a directory before its entries.
type lister struct {
	depth   int
	after   string // list what comes behind this path
	room    int
	visited int
	files   []*sandgatev1.FileInfo
	last    string
	more    bool
}

func (l *lister) list(path string, level int) error {
	names, err := l.names(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		child := filepath.Join(path, name)
		// A directory behind which the page ended before may hold entries that come next.
		if l.after != "" && !before(l.after, child) && !strings.HasPrefix(l.after, child+"/") && l.after != child {
			continue
		}
		info, err := os.Lstat(child)
		if err != nil {
			continue // it went meanwhile
		}
		if l.after == "" || before(l.after, child) {
			if len(l.files) >= l.room {
				l.more = true
				return nil
			}
			l.files = append(l.files, fileInfo(child, info))
			l.last = child
		}
		if info.IsDir() && level < l.depth {
			if err := l.list(child, level+1); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if l.more {
				return nil
			}
		}
	}
	return nil
}

// before tells the order of two paths: component by component, which is that of the walk.
func before(a, b string) bool {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) < 0
}

// names returns the sorted names in a directory.
func (l *lister) names(path string) ([]string, error) {
	dir, err := openDirectory(path)
	if err != nil {
		return nil, err
	}
	defer closeAll(dir)
	names, err := dir.Readdirnames(maxVisited - l.visited + 1)
	if err != nil && len(names) == 0 && !errors.Is(err, os.ErrInvalid) {
		if err.Error() == "EOF" {
			return nil, nil
		}
		return nil, err
	}
	if l.visited += len(names); l.visited > maxVisited {
		return nil, fail(connect.CodeResourceExhausted, "DIRECTORY_TOO_LARGE", "list a smaller directory, or use the shell",
			"%q holds more than %d entries", path, maxVisited)
	}
	slices.Sort(names)
	return names, nil
}

// move must be called as the user.
func move(source, destination string, overwrite bool) error {
	if err := os.MkdirAll(filepath.Dir(destination), 0o755); err != nil {
		return err
	}
	flags := uint(unix.RENAME_NOREPLACE)
	if overwrite {
		flags = 0
	}
	err := unix.Renameat2(unix.AT_FDCWD, source, unix.AT_FDCWD, destination, flags)
	if !overwrite && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)) {
		// The file system cannot refuse by itself. Between the look and the rename only the
		// user's own processes can make the file.
		if _, statErr := os.Lstat(destination); statErr == nil {
			return fs.ErrExist
		}
		err = os.Rename(source, destination)
	}
	return err
}

// remove must be called as the user.
func remove(path string, recursive bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if recursive && info.IsDir() {
		return os.RemoveAll(path)
	}
	if info.IsDir() {
		return unix.Rmdir(path)
	}
	return unix.Unlink(path)
}

// notAFile says why a path cannot be written.
func notAFile(info fs.FileInfo) error {
	if info.IsDir() {
		return unix.EISDIR
	}
	return unix.ENXIO
}
