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
	return walked{in: d, name: name, path: path, stat: stat}.describe(), nil
}

// describe returns what the API says of an entry: that it is there, if that is all that is known. It must be
// called as the user.
func (w walked) describe() *sandgatev1.FileInfo {
	info := &sandgatev1.FileInfo{Path: validText(w.path), Type: sandgatev1.FileType_FILE_TYPE_OTHER}
	if w.err != nil {
		return info
	}
	info.Size, info.Mode = w.stat.Size, w.stat.Mode&0o777
	info.ModifiedAt = timestamppb.New(time.Unix(w.stat.Mtim.Unix()))
	info.Type = fileType(w.mode())
	if info.GetType() == sandgatev1.FileType_FILE_TYPE_SYMLINK {
		target, _ := w.in.readLink(w.name) // it may be no link any more
		info.SymlinkTarget = validText(target)
	}
	return info
}

// fileType returns what the API calls a type of files.
func fileType(mode uint32) sandgatev1.FileType {
	switch mode {
	case unix.S_IFREG:
		return sandgatev1.FileType_FILE_TYPE_FILE
	case unix.S_IFDIR:
		return sandgatev1.FileType_FILE_TYPE_DIRECTORY
	case unix.S_IFLNK:
		return sandgatev1.FileType_FILE_TYPE_SYMLINK
	default:
		return sandgatev1.FileType_FILE_TYPE_OTHER
	}
}

// validText is text that a message can hold.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
