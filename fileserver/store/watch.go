package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// Watch streams the changes in a directory.
func (w *Workspace) Watch(ctx context.Context, req *sandgatev1.WatchRequest, stream *connect.ServerStream[sandgatev1.WatchResponse]) error {
	_, err := on(w, req.GetPath(), func(v *view, path string) (struct{}, error) {
		if w.watches.Add(1) > maxWatchers {
			w.watches.Add(-1)
			return struct{}{}, fail(connect.CodeResourceExhausted, "TOO_MANY_WATCHES", "end one of them", "%d watches are set", maxWatchers)
		}
		defer w.watches.Add(-1)
		return struct{}{}, v.watch(ctx, path, req.GetRecursive(), stream.Send)
	})
	return err
}

// watcher follows directories by inotify(7).
type watcher struct {
	view *view
	file *os.File
	dirs map[int32]string
	deep bool
	send func(*sandgatev1.WatchResponse) error
}

func (v *view) watch(ctx context.Context, path string, deep bool, send func(*sandgatev1.WatchResponse) error) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	w := &watcher{view: v, file: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}, deep: deep, send: send}
	defer func() { _ = w.file.Close() }()
	if err := w.add(ctx, path); err != nil {
		return err
	}
	if err := send(&sandgatev1.WatchResponse{Event: &sandgatev1.WatchResponse_Ready{Ready: &sandgatev1.WatchReady{}}}); err != nil {
		return err
	}
	ended := make(chan struct{})
	waits := make(chan struct{})
	go func() { // reading ends when the file is closed
		defer close(waits)
		select {
		case <-ctx.Done():
		case <-v.done:
		case <-ended:
		}
		_ = w.file.Close()
	}()
	err = w.read(ctx)
	close(ended)
	<-waits
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, os.ErrClosed) {
		return errClosed()
	}
	return err
}

// add watches a directory, and those below it if asked.
func (w *watcher) add(ctx context.Context, path string) error {
	at, err := w.view.find(path, true)
	if err != nil {
		return err
	}
	defer at.close()
	here, err := at.open(at.name)
	if err != nil {
		return err
	}
	defer here.close()
	if err := w.addOne(here, path); err != nil || !w.deep {
		return err
	}
	below := walk{view: w.view, root: path}
	return below.each(ctx, func(e entry) (bool, error) {
		if !e.is(unix.S_IFDIR) {
			return true, nil
		}
		depth := len(below.levels)
		if err := below.enter(e); err != nil {
			return false, err
		}
		if len(below.levels) == depth {
			return true, nil // it went, or is not readable: there is nothing to watch
		}
		return true, w.addOne(below.levels[depth].folder, e.path)
	})
}

// addOne watches an open directory.
func (w *watcher) addOne(here folder, path string) error {
	if err := here.allows(ownerRead); err != nil {
		return err
	}
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
	// By its descriptor, as its path may lead elsewhere by now.
	self := fmt.Sprintf("/proc/self/fd/%d", here.at())
	if err := raw.Control(func(fd uintptr) { id, addErr = unix.InotifyAddWatch(int(fd), self, watchMask) }); err != nil {
		return err
	}
	switch {
	case addErr == nil:
		w.dirs[int32(id)] = path
	case errors.Is(addErr, unix.ENOSPC): // the user has too many watches on this host
		return fail(connect.CodeResourceExhausted, "TOO_MANY_WATCHES", "end one of them, or watch a smaller directory", "no more watches can be set")
	}
	return addErr
}

// read sends what happens until the file is closed.
func (w *watcher) read(ctx context.Context) error {
	buf := make([]byte, chunk)
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
		if delete(w.dirs, event.Wd); len(w.dirs) == 0 {
			return fs.ErrNotExist
		}
		return nil
	}
	directory, known := w.dirs[event.Wd]
	kind := changeType(event.Mask)
	if !known || kind == sandgatev1.ChangeType_CHANGE_TYPE_UNSPECIFIED {
		return nil
	}
	path := filepath.Join(directory, name)
	if w.deep && event.Mask&unix.IN_ISDIR != 0 && kind == sandgatev1.ChangeType_CHANGE_TYPE_CREATE {
		err := w.add(ctx, path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.ENOTDIR) {
			return err
		}
	}
	return w.send(&sandgatev1.WatchResponse{Event: &sandgatev1.WatchResponse_Change{
		Change: &sandgatev1.FileChange{Type: kind, Path: validText(path)},
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
