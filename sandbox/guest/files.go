package guest

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// fileService is the guest's FileService. Every path is opened as the user.
type fileService struct {
	// What the host does by itself with what it reads here, such as reading documents, is not served.
	sandgatev1connect.UnimplementedFileServiceHandler

	guest   *Guest
	watches chan struct{} // one element for each watch that is set
}

func newFileService(g *Guest) *fileService {
	return &fileService{guest: g, watches: make(chan struct{}, maxWatchers)}
}

const defaultRead = 1 << 20

// Read reads a range of a file, of bytes or of lines.
func (s *fileService) Read(ctx context.Context, req *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	file, size, err := s.open(ctx, path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer closeAll(file)
	length := req.GetLength()
	if length <= 0 {
		length = defaultRead
	}
	if req.GetStartLine() > 0 || req.GetLines() > 0 {
		res, err := readLines(ctx, section{file, size}, req, length)
		if err != nil {
			return nil, fileError(path, err)
		}
		return res, nil
	}
	offset := min(max(req.GetOffset(), 0), size)
	data := make([]byte, min(length, size-offset))
	n, err := file.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fileError(path, err)
	}
	return readResponse(data[:n], offset, size), nil
}

// open opens a regular file for reading.
func (s *fileService) open(ctx context.Context, path string) (file *os.File, size int64, err error) {
	err = s.guest.asUser(ctx, func() error {
		opened, stat, err := s.guest.openRegular(path, os.O_RDONLY, 0)
		file, size = opened, stat.Size
		return err
	})
	return file, size, err
}

// asText returns the data as text, if it is: without the last character where the range cut it.
func asText(data []byte, atEnd bool) ([]byte, bool) {
	if utf8.Valid(data) {
		return data, true
	}
	for cut := 1; !atEnd && cut < utf8.UTFMax && cut < len(data); cut++ {
		head, tail := data[:len(data)-cut], data[len(data)-cut:]
		if utf8.RuneStart(tail[0]) {
			return head, !utf8.FullRune(tail) && utf8.Valid(head)
		}
	}
	return nil, false
}

// Write replaces a file, or adds to it.
func (s *fileService) Write(ctx context.Context, req *sandgatev1.WriteRequest) (*sandgatev1.WriteResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	data := req.GetData()
	if _, ok := req.GetContent().(*sandgatev1.WriteRequest_Text); ok {
		data = []byte(req.GetText())
	}
	write := func(file *os.File) error {
		_, err := file.Write(data)
		return err
	}
	var info *sandgatev1.FileInfo
	if req.GetAppend() {
		info, err = s.appendTo(ctx, path, write)
	} else {
		info, err = s.replace(ctx, path, 0, write)
	}
	if err != nil {
		return nil, fileError(path, err)
	}
	return &sandgatev1.WriteResponse{File: info}, nil
}

func (s *fileService) appendTo(ctx context.Context, path string, fill func(*os.File) error) (info *sandgatev1.FileInfo, err error) {
	err = s.guest.asUser(ctx, func() error {
		if err := s.guest.makeDirectories(filepath.Dir(path)); err != nil {
			return err
		}
		file, _, err := s.guest.openRegular(path, os.O_WRONLY|os.O_APPEND, 0)
		if errors.Is(err, os.ErrNotExist) {
			if err = s.guest.room(path); err == nil {
				file, _, err = s.guest.openRegular(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
			}
		}
		if err != nil {
			return err
		}
		if err = fill(file); err == nil {
			info, err = openInfo(path, file)
		}
		return errors.Join(err, file.Close())
	})
	return info, err
}

// replace writes a file beside the old one and puts it in its place when it is whole. A mode of
// zero means that of the old file, or 0644. What fill does is done as the user.
func (s *fileService) replace(ctx context.Context, path string, mode uint32, fill func(*os.File) error) (info *sandgatev1.FileInfo, err error) {
	err = s.guest.asUser(ctx, func() error {
		p, err := s.prepare(path, mode)
		if err != nil {
			return err
		}
		if err = fill(p.file); err == nil {
			info, err = openInfo(path, p.file)
		}
		return p.finish(err)
	})
	return info, err
}

// pending is a file that is being written and does not have its name yet.
type pending struct {
	file *os.File
	path string
}

// prepare opens a new file in the directory of path. It must be called as the user.
func (s *fileService) prepare(path string, mode uint32) (pending, error) {
	path, mode, err := s.guest.target(path, mode)
	if err != nil {
		return pending{}, err
	}
	if err := s.guest.room(path); err != nil {
		return pending{}, err
	}
	name := filepath.Join(filepath.Dir(path), ".sandgate-"+rand.Text())
	const flags = unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open(name, flags, mode)
	if errors.Is(err, unix.ENOENT) {
		if err = s.guest.makeDirectories(filepath.Dir(path)); err == nil {
			fd, err = unix.Open(name, flags, mode)
		}
	}
	if err != nil {
		return pending{}, err
	}
	p := pending{file: os.NewFile(uintptr(fd), name), path: path}
	if mode&^0o755 != 0 { // the umask took some
		if err := unix.Fchmod(fd, mode); err != nil {
			return pending{}, p.finish(err)
		}
	}
	return p, nil
}

// finish gives the file its name, or removes it after an error. It must be called as the user.
func (p pending) finish(err error) error {
	if closeErr := p.file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(p.file.Name(), p.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(p.file.Name()))
	}
	return nil
}

// Move moves a file or directory.
func (s *fileService) Move(ctx context.Context, req *sandgatev1.MoveRequest) (*sandgatev1.MoveResponse, error) {
	source, err := s.guest.checked(req.GetSource())
	if err != nil {
		return nil, err
	}
	destination, err := s.guest.checked(req.GetDestination())
	if err != nil {
		return nil, err
	}
	if err := s.guest.asUser(ctx, func() error { return s.guest.move(source, destination, req.GetOverwrite()) }); err != nil {
		return nil, fileError(source+" -> "+destination, err)
	}
	info, err := s.describe(ctx, destination)
	if err != nil {
		return nil, fileError(destination, err)
	}
	return &sandgatev1.MoveResponse{File: info}, nil
}

// Remove removes a file or directory.
func (s *fileService) Remove(ctx context.Context, req *sandgatev1.RemoveRequest) (*sandgatev1.RemoveResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	if err := s.guest.asUser(ctx, func() error { return s.guest.remove(ctx, path, req.GetRecursive()) }); err != nil {
		return nil, fileError(path, err)
	}
	return &sandgatev1.RemoveResponse{}, nil
}

// MakeDir makes a directory and those above it.
func (s *fileService) MakeDir(ctx context.Context, req *sandgatev1.MakeDirRequest) (*sandgatev1.MakeDirResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	if err := s.guest.asUser(ctx, func() error { return s.guest.makeDirectories(path) }); err != nil {
		return nil, fileError(path, err)
	}
	info, err := s.describe(ctx, path)
	if err != nil {
		return nil, fileError(path, err)
	}
	return &sandgatev1.MakeDirResponse{File: info}, nil
}
