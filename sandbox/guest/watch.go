package guest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	maxWatchers = 16
	maxWatches  = 1024 // directories of one watch
	watchMask   = unix.IN_CREATE | unix.IN_CLOSE_WRITE | unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_DELETE |
		unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK
)

// watcher follows directories by inotify(7).
type watcher struct {
	guest *Guest
	file  *os.File
	dirs  map[int32]string
	deep  bool
	send  func(*sandgatev1.WatchResponse) error
}

// Watch streams the changes in a directory.
func (s *fileService) Watch(ctx context.Context, req *sandgatev1.WatchRequest, stream *connect.ServerStream[sandgatev1.WatchResponse]) error {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return err
	}
	select {
	case s.watches <- struct{}{}:
		defer func() { <-s.watches }()
	default:
		return fail(connect.CodeResourceExhausted, "TOO_MANY_WATCHES", "end one of them", "%d watches are set", maxWatchers)
	}
	var fd int
	err = s.guest.user.do(ctx, func() (err error) { // as the user, on whose account the instance goes
		fd, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		return err
	})
	if err != nil {
		return fileError(path, err)
	}
	w := &watcher{
		guest: s.guest,
		file:  os.NewFile(uintptr(fd), "inotify"),
		dirs:  map[int32]string{},
		deep:  req.GetRecursive(),
		send:  stream.Send,
	}
	defer closeAll(w.file)
	if err := w.add(ctx, path); err != nil {
		return fileError(path, err)
	}
	if err := w.send(&sandgatev1.WatchResponse{Event: &sandgatev1.WatchResponse_Ready{Ready: &sandgatev1.WatchReady{}}}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.file.Close() })
	defer stop()
	err = w.follow(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fileError(path, err)
}

// add watches a directory, and those below it if asked.
func (w *watcher) add(ctx context.Context, path string) error {
	return w.guest.asUser(ctx, func() error {
		dir, err := w.guest.openDirectory(path, toUse)
		if err != nil {
			return err
		}
		dir.close()
		if err := w.addOne(path); err != nil || !w.deep {
			return err
		}
		return filepath.WalkDir(path, func(below string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() || below == path {
				return nil //nolint:nilerr // it went, or is not readable: nothing to watch
			}
			return w.addOne(below)
		})
	})
}

// addOne must be called as the user.
func (w *watcher) addOne(path string) error {
	if len(w.dirs) >= maxWatches {
		return fail(connect.CodeResourceExhausted, "TOO_MANY_DIRECTORIES", "watch a smaller directory",
			"more than %d directories", maxWatches)
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var id int
	var addErr error
	if err := raw.Control(func(fd uintptr) { id, addErr = unix.InotifyAddWatch(int(fd), path, watchMask) }); err != nil {
		return err
	}
	if errors.Is(addErr, unix.ENOENT) || errors.Is(addErr, unix.ENOTDIR) {
		if len(w.dirs) > 0 {
			return nil // it went before it could be watched
		}
	}
	if addErr == nil {
		w.dirs[int32(id)] = path
	}
	return addErr
}

// follow sends what happens until the file is closed.
func (w *watcher) follow(ctx context.Context) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return err
		}
		for data := buf[:n]; len(data) >= unix.SizeofInotifyEvent; {
			event := (*unix.InotifyEvent)(unsafe.Pointer(&data[0])) //nolint:gosec // the kernel's own layout
			end := unix.SizeofInotifyEvent + int(event.Len)
			name := string(bytes.TrimRight(data[unix.SizeofInotifyEvent:end], "\x00"))
			if err := w.tell(ctx, event, name); err != nil {
				return err
			}
			data = data[end:]
		}
	}
}

func (w *watcher) tell(ctx context.Context, event *unix.InotifyEvent, name string) error {
	if event.Mask&unix.IN_Q_OVERFLOW != 0 {
		return w.send(&sandgatev1.WatchResponse{Event: &sandgatev1.WatchResponse_Overflow{Overflow: &sandgatev1.WatchOverflow{}}})
	}
	if event.Mask&unix.IN_IGNORED != 0 {
		delete(w.dirs, event.Wd)
		if len(w.dirs) == 0 {
			return fs.ErrNotExist
		}
		return nil
	}
	dir, known := w.dirs[event.Wd]
	kind := changeType(event.Mask)
	if !known || kind == sandgatev1.ChangeType_CHANGE_TYPE_UNSPECIFIED {
		return nil
	}
	path := filepath.Join(dir, name)
	if w.deep && event.Mask&unix.IN_ISDIR != 0 && kind == sandgatev1.ChangeType_CHANGE_TYPE_CREATE {
		if err := w.add(ctx, path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return w.send(&sandgatev1.WatchResponse{Event: &sandgatev1.WatchResponse_Change{
		Change: &sandgatev1.FileChange{Type: kind, Path: strings.ToValidUTF8(path, "\uFFFD")},
	}})
}

func changeType(mask uint32) sandgatev1.ChangeType {
	switch {
	case mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
		return sandgatev1.ChangeType_CHANGE_TYPE_CREATE
	case mask&(unix.IN_MODIFY|unix.IN_CLOSE_WRITE) != 0:
		return sandgatev1.ChangeType_CHANGE_TYPE_WRITE
	case mask&unix.IN_DELETE != 0:
		return sandgatev1.ChangeType_CHANGE_TYPE_REMOVE
	case mask&unix.IN_MOVED_FROM != 0:
		return sandgatev1.ChangeType_CHANGE_TYPE_RENAME
	case mask&unix.IN_ATTRIB != 0:
		return sandgatev1.ChangeType_CHANGE_TYPE_ATTRIBUTES
	}
	return sandgatev1.ChangeType_CHANGE_TYPE_UNSPECIFIED
}
