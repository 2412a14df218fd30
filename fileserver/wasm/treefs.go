package wasm

import (
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/experimental/sys"
	wazerosys "github.com/tetratelabs/wazero/sys"
)

// treeFS is a [Tree] as wazero sees it. What it does not have, such as links, is not supported.
type treeFS struct {
	sys.UnimplementedFS
	*Tree
}

// OpenFile opens a file or a directory, or makes a file.
func (t treeFS) OpenFile(name string, flag sys.Oflag, _ fs.FileMode) (sys.File, sys.Errno) {
	writes := flag&(sys.O_RDWR|sys.O_WRONLY) != 0
	at, errno := t.find(name)
	found := at.found
	if errno == 0 && t.openable == 0 {
		errno = sys.EIO
	}
	switch {
	case errno != 0:
		return nil, errno
	case found == nil && flag&sys.O_CREAT == 0:
		return nil, sys.ENOENT
	case found == nil && strings.HasSuffix(name, "/"):
		return nil, sys.EISDIR
	case found == nil:
		if found, errno = t.create(at, false); errno != 0 {
			return nil, errno
		}
	case flag&sys.O_EXCL != 0 && flag&sys.O_CREAT != 0:
		return nil, sys.EEXIST
	case found.entries == nil && (flag&sys.O_DIRECTORY != 0 || strings.HasSuffix(name, "/")):
		return nil, sys.ENOTDIR
	case found.entries != nil && writes:
		return nil, sys.EISDIR
	case (writes || flag&sys.O_TRUNC != 0) && !found.writable:
		return nil, sys.EROFS
	case flag&sys.O_TRUNC != 0 && found.entries == nil:
		_ = t.resize(found, 0) // shorter is always possible
	}
	t.openable--
	return &openFile{tree: t.Tree, node: found, writes: writes, appends: flag&sys.O_APPEND != 0}, 0
}

// Stat describes a file or a directory.
func (t treeFS) Stat(name string) (wazerosys.Stat_t, sys.Errno) {
	at, errno := t.find(name)
	if errno == 0 && at.found == nil {
		errno = sys.ENOENT
	}
	if errno != 0 {
		return wazerosys.Stat_t{}, errno
	}
	return at.found.stat(), 0
}

// Lstat is Stat, as there are no links.
func (t treeFS) Lstat(name string) (wazerosys.Stat_t, sys.Errno) { return t.Stat(name) }

// Mkdir makes a directory.
func (t treeFS) Mkdir(name string, _ fs.FileMode) sys.Errno {
	at, errno := t.find(name)
	if errno == 0 && at.found != nil {
		errno = sys.EEXIST
	}
	if errno == 0 {
		_, errno = t.create(at, true)
	}
	return errno
}

// Rename moves a file. Directories stay where they are.
func (t treeFS) Rename(from, to string) sys.Errno {
	source, errno := t.find(from)
	if errno != 0 {
		return errno
	}
	target, errno := t.find(to)
	switch {
	case errno != 0:
		return errno
	case source.found == nil:
		return sys.ENOENT
	case source.found.entries != nil:
		return sys.ENOTSUP
	case target.found != nil && target.found.entries != nil:
		return sys.EISDIR
	case !source.parent.writable || !target.parent.writable:
		return sys.EROFS
	case target.found == source.found:
		return 0
	}
	delete(source.parent.entries, source.last)
	target.parent.entries[target.last] = source.found
	t.drop(target.found)
	return 0
}

// drop gives back what a node that is no more took.
func (t treeFS) drop(n *node) {
	if n != nil {
		t.nodes++
		t.left += int64(len(n.data))
		n.data = nil // whoever has it open finds it empty, and cannot write beyond what there is
	}
}

// Unlink removes a file.
func (t treeFS) Unlink(name string) sys.Errno {
	at, errno := t.find(name)
	switch {
	case errno != 0:
		return errno
	case at.found == nil:
		return sys.ENOENT
	case at.found.entries != nil:
		return sys.EISDIR
	case !at.parent.writable:
		return sys.EROFS
	}
	delete(at.parent.entries, at.last)
	t.drop(at.found)
	return 0
}

// Rmdir removes an empty directory.
func (t treeFS) Rmdir(name string) sys.Errno {
	at, errno := t.find(name)
	switch {
	case errno != 0:
		return errno
	case at.found == nil:
		return sys.ENOENT
	case at.found.entries == nil:
		return sys.ENOTDIR
	case !at.parent.writable:
		return sys.EROFS
	case len(at.found.entries) > 0:
		return sys.ENOTEMPTY
	}
	delete(at.parent.entries, at.last)
	t.drop(at.found)
	return 0
}

// openFile is a file or a directory that a program has open.
type openFile struct {
	sys.UnimplementedFile
	tree            *Tree
	node            *node
	writes, appends bool
	at              int64
	list            []sys.Dirent // of a directory that is being read, what is still to come
	listing, closed bool
}

// Ino returns its number.
func (f *openFile) Ino() (wazerosys.Inode, sys.Errno) { return f.node.number, 0 }

// IsDir tells whether it is a directory.
func (f *openFile) IsDir() (bool, sys.Errno) { return f.node.entries != nil, 0 }

// IsAppend tells whether writes go to the end.
func (f *openFile) IsAppend() bool { return f.appends }

// SetAppend has writes go to the end, or not.
func (f *openFile) SetAppend(yes bool) sys.Errno {
	f.appends = yes
	return 0
}

// Stat describes it.
func (f *openFile) Stat() (wazerosys.Stat_t, sys.Errno) { return f.node.stat(), 0 }

// Read reads on.
func (f *openFile) Read(b []byte) (int, sys.Errno) {
	n, errno := f.Pread(b, f.at)
	f.at += int64(n)
	return n, errno
}

// Pread reads somewhere.
func (f *openFile) Pread(b []byte, at int64) (int, sys.Errno) {
	switch {
	case f.node.entries != nil:
		return 0, sys.EISDIR
	case at < 0:
		return 0, sys.EINVAL
	case at >= int64(len(f.node.data)):
		return 0, 0
	}
	return copy(b, f.node.data[at:]), 0
}

// place64 is where something is in a file, in bytes: vet takes a Seek of an int64 for io.Seeker's, and this is wazero's.
type place64 = int64

// Seek moves to where it is read and written next. A directory is read from its beginning again.
func (f *openFile) Seek(offset place64, whence int) (int64, sys.Errno) {
	if f.node.entries != nil {
		if offset != 0 || whence != io.SeekStart {
			return 0, sys.EINVAL
		}
		f.listing = false
		return 0, 0
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += int64(len(f.node.data))
	default:
		return 0, sys.EINVAL
	}
	if offset < 0 {
		return 0, sys.EINVAL
	}
	f.at = offset
	return offset, 0
}

// Readdir returns the next n entries, all of them where n is not positive.
func (f *openFile) Readdir(n int) ([]sys.Dirent, sys.Errno) {
	if f.node.entries == nil {
		return nil, sys.ENOTDIR
	}
	if !f.listing {
		f.list, f.listing = make([]sys.Dirent, 0, len(f.node.entries)), true
		for name, entry := range f.node.entries {
			f.list = append(f.list, sys.Dirent{Ino: entry.number, Name: name, Type: entry.stat().Mode.Type()})
		}
		slices.SortFunc(f.list, func(a, b sys.Dirent) int { return strings.Compare(a.Name, b.Name) })
	}
	if n <= 0 || n > len(f.list) {
		n = len(f.list)
	}
	next := f.list[:n]
	f.list = f.list[n:]
	return next, 0
}

// Write writes on.
func (f *openFile) Write(b []byte) (int, sys.Errno) {
	if f.appends {
		f.at = int64(len(f.node.data))
	}
	n, errno := f.Pwrite(b, f.at)
	f.at += int64(n)
	return n, errno
}

// Pwrite writes somewhere.
func (f *openFile) Pwrite(b []byte, at int64) (int, sys.Errno) {
	switch {
	case f.node.entries != nil:
		return 0, sys.EISDIR
	case !f.writes:
		return 0, sys.EBADF
	case at < 0 || at+int64(len(b)) < at:
		return 0, sys.EINVAL
	}
	if end := at + int64(len(b)); end > int64(len(f.node.data)) {
		if errno := f.tree.resize(f.node, end); errno != 0 {
			return 0, errno
		}
	}
	return copy(f.node.data[at:], b), 0
}

// Truncate makes it longer or shorter.
func (f *openFile) Truncate(size int64) sys.Errno {
	switch {
	case f.node.entries != nil:
		return sys.EISDIR
	case !f.writes:
		return sys.EBADF
	}
	return f.tree.resize(f.node, size)
}

// Utimens does nothing, as there are no times.
func (f *openFile) Utimens(int64, int64) sys.Errno { return 0 }

// Close closes it.
func (f *openFile) Close() sys.Errno {
	if !f.closed {
		f.closed = true
		f.tree.openable++
	}
	return 0
}
