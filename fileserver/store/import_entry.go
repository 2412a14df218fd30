package store

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"io"
	"path"

	"golang.org/x/sys/unix"
)

// spot finds the place of an entry, on a way without symbolic links.
func (u *unpacking) spot(rel string) (spot, error) {
	whole := path.Join(u.base, rel)
	at, err := u.view.find(whole, false)
	if err != nil {
		return spot{}, err
	}
	if at.path != whole {
		at.close()
		return spot{}, errEntry(rel, "leads through a symbolic link")
	}
	return at, nil
}

// directory makes a directory and those above it, as far as they are missing. It must be called in a change.
func (u *unpacking) directory(rel string) error {
	if rel == "" || rel == "." {
		return nil
	}
	at, err := u.spot(rel)
	if errors.Is(err, unix.ENOENT) {
		if err = u.directory(path.Dir(rel)); err == nil {
			at, err = u.spot(rel)
		}
	}
	if err != nil {
		return err
	}
	defer at.close()
	stat, err := at.stat(at.name)
	switch {
	case errors.Is(err, unix.ENOENT):
		return u.view.mkdir(at, 0o755)
	case err != nil:
		return err
	case isType(stat, unix.S_IFLNK):
		return errEntry(rel, "leads through a symbolic link")
	case !isType(stat, unix.S_IFDIR):
		return unix.ENOTDIR
	}
	return nil
}

// place makes the directories above an entry, and puts there what is in the stage. It must be called in a change.
func (u *unpacking) place(staged, rel string) error {
	if err := u.directory(path.Dir(rel)); err != nil {
		return err
	}
	at, err := u.spot(rel)
	if err != nil {
		return err
	}
	defer at.close()
	old, err := at.stat(at.name)
	switch {
	case errors.Is(err, unix.ENOENT):
		err = at.fits()
	case err == nil && isType(old, unix.S_IFDIR):
		err = unix.EISDIR
	}
	if err != nil {
		return err
	}
	return u.view.place(staged, at)
}

func setTime(in folder, name string, header *tar.Header) error {
	time, err := unix.TimeToTimespec(header.ModTime)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(in.at(), name, []unix.Timespec{time, time}, unix.AT_SYMLINK_NOFOLLOW)
}

// file unpacks a regular file. The room for all of it is taken before: a sparse file is written with its holes.
func (u *unpacking) file(header *tar.Header, rel string, content io.Reader) (err error) {
	s, err := u.view.newStaged(uint32(header.Mode) & 0o777)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.drop()) }()
	if err := s.room.take(header.Size, 0); err != nil {
		return err
	}
	for left := header.Size; left > 0; {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(s.file, content, min(left, copyPiece))
		if left -= n; err != nil {
			return contentError(err)
		}
	}
	if err := s.file.Close(); err != nil {
		return err
	}
	_ = setTime(u.view.stage, s.name, header) // which may be beyond what the host can keep
	if err := u.view.change(func() error { return u.place(s.name, rel) }); err != nil {
		return err
	}
	s.settle()
	u.res.Files++
	u.res.Bytes += header.Size
	return nil
}

// contentError tells an archive that ends too early from a file that cannot be written.
func contentError(err error) error {
	if _, ok := errors.AsType[unix.Errno](err); ok {
		return err
	}
	return errArchive(err)
}

// symlink unpacks a symbolic link, wherever it leads: that is seen to when it is followed. It must be called in a
// change.
func (u *unpacking) symlink(header *tar.Header, rel string) error {
	if header.Linkname == "" || len(header.Linkname) >= unix.PathMax {
		return errEntry(header.Name, "is a symbolic link to nowhere")
	}
	return u.staged(rel, int64(len(header.Linkname)), func(name string) error {
		if err := unix.Symlinkat(header.Linkname, u.view.stage.at(), name); err != nil {
			return err
		}
		_ = setTime(u.view.stage, name, header) // which may be beyond what the host can keep
		return nil
	})
}

// link unpacks a hard link, to a file below the directory. It must be called in a change.
func (u *unpacking) link(header *tar.Header, rel string) error {
	target, err := u.below(header.Linkname)
	if err != nil || target == "" {
		return errEntry(header.Name, "is a hard link that leaves the directory")
	}
	at, err := u.spot(target)
	if err != nil {
		return err
	}
	defer at.close()
	stat, err := at.stat(at.name)
	switch {
	case err != nil:
		return err
	case !isType(stat, unix.S_IFREG):
		return errEntry(header.Name, "is a hard link to what is no file")
	}
	if here, err := u.spot(rel); err == nil {
		there, err := here.stat(here.name)
		here.close()
		if err == nil && there.Ino == stat.Ino {
			u.res.Files++ // it is one already
			return nil
		}
	}
	return u.staged(rel, 0, func(name string) error {
		return unix.Linkat(at.at(), at.name, u.view.stage.at(), name, 0)
	})
}

// staged unpacks what is made at once: beside the tree first, so that it replaces what is there as a whole. It
// must be called in a change.
func (u *unpacking) staged(rel string, size int64, fill func(name string) error) error {
	name, room := rand.Text(), claim{ledger: &u.view.used}
	if err := room.take(size, 1); err != nil {
		return err
	}
	defer room.release()
	if err := fill(name); err != nil {
		return err
	}
	if err := u.place(name, rel); err != nil {
		_ = unix.Unlinkat(u.view.stage.at(), name, 0) // at the latest it goes when the workspace is opened again
		return err
	}
	room.keep()
	u.res.Files++
	return nil
}
