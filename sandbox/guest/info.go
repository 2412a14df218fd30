package guest

import (
	"context"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Stat describes a file.
func (s *fileService) Stat(ctx context.Context, req *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	info, err := s.describe(ctx, path)
	if err != nil {
		return nil, fileError(path, err)
	}
	return &sandgatev1.StatResponse{File: info}, nil
}

// openInfo describes an open regular file under the name that it has or will have.
func openInfo(path string, file *os.File) (*sandgatev1.FileInfo, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return &sandgatev1.FileInfo{
		Path:       validText(path),
		Type:       sandgatev1.FileType_FILE_TYPE_FILE,
		Size:       info.Size(),
		Mode:       uint32(info.Mode().Perm()),
		ModifiedAt: timestamppb.New(info.ModTime()),
	}, nil
}

// describe returns what the API says of a file.
func (s *fileService) describe(ctx context.Context, path string) (info *sandgatev1.FileInfo, err error) {
	err = s.guest.asUser(ctx, func() error {
		in, name, err := s.guest.parent(path)
		if err != nil {
			return err
		}
		defer in.close()
		info, err = in.describe(name, path)
		return err
	})
	return info, err
}

// describe returns what the API says of what is in the directory under a name, and known as path.
func (d directory) describe(name, path string) (*sandgatev1.FileInfo, error) {
	stat, err := d.statIn(name)
	if err != nil {
		return nil, err
	}
	info := &sandgatev1.FileInfo{
		Path:       validText(path),
		Type:       sandgatev1.FileType_FILE_TYPE_OTHER,
		Size:       stat.Size,
		Mode:       stat.Mode & 0o777,
		ModifiedAt: timestamppb.New(time.Unix(stat.Mtim.Unix())),
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		info.Type = sandgatev1.FileType_FILE_TYPE_FILE
	case unix.S_IFDIR:
		info.Type = sandgatev1.FileType_FILE_TYPE_DIRECTORY
	case unix.S_IFLNK:
		info.Type = sandgatev1.FileType_FILE_TYPE_SYMLINK
		target := make([]byte, unix.PathMax)
		n, _ := unix.Readlinkat(int(d), name, target) // it may be no link any more
		info.SymlinkTarget = validText(string(target[:max(n, 0)]))
	}
	return info, nil
}

// validText is text that a message can hold.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
