package store

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
func (w *Workspace) Stat(_ context.Context, req *sandgatev1.StatRequest) (*sandgatev1.StatResponse, error) {
	info, err := on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.FileInfo, error) { return v.describe(path) })
	if err != nil {
		return nil, err
	}
	return &sandgatev1.StatResponse{File: info}, nil
}

// on does what a call does with one path.
func on[T any](w *Workspace, name string, fn func(v *view, path string) (T, error)) (result T, err error) {
	path, err := w.checked(name)
	if err != nil {
		return result, err
	}
	v, err := w.view()
	if err != nil {
		return result, err
	}
	defer v.close()
	if result, err = fn(v, path); err != nil {
		var none T
		return none, fileError(path, err)
	}
	return result, nil
}

// describe returns what the API says of a file.
func (v *view) describe(path string) (*sandgatev1.FileInfo, error) {
	at, err := v.find(path, false)
	if err != nil {
		return nil, err
	}
	defer at.close()
	stat, err := at.stat(at.name)
	if err != nil {
		return nil, err
	}
	return entry{in: at.folder, name: at.name, path: path, stat: stat}.describe(), nil
}

// describe returns what the API says of an entry: that it is there, if that is all that is known.
func (e entry) describe() *sandgatev1.FileInfo {
	info := &sandgatev1.FileInfo{Path: validText(e.path), Type: sandgatev1.FileType_FILE_TYPE_OTHER}
	if e.err != nil {
		return info
	}
	info.Size, info.Mode = e.stat.Size, e.stat.Mode&0o777
	info.ModifiedAt = timestamppb.New(time.Unix(e.stat.Mtim.Unix()))
	info.Type = fileType(e.stat)
	if info.GetType() == sandgatev1.FileType_FILE_TYPE_SYMLINK {
		target, _ := e.in.readLink(e.name) // it may be no link any more
		info.SymlinkTarget = validText(target)
	}
	return info
}

// openInfo describes an open regular file under the name that it has or will have.
func openInfo(path string, file *os.File) (*sandgatev1.FileInfo, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return &sandgatev1.FileInfo{
		Path: validText(path), Type: sandgatev1.FileType_FILE_TYPE_FILE, Size: info.Size(),
		Mode: uint32(info.Mode().Perm()), ModifiedAt: timestamppb.New(info.ModTime()),
	}, nil
}

func fileType(stat unix.Stat_t) sandgatev1.FileType {
	switch stat.Mode & unix.S_IFMT {
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
