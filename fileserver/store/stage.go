package store

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// staged is a file that is being written where nobody sees it. It is used by one goroutine.
type staged struct {
	view *view
	file *os.File
	name string // in the stage
	room claim
}

// newStaged makes an empty file with a mode.
func (v *view) newStaged(mode uint32) (*staged, error) {
	if v.fixed {
		return nil, errFixed()
	}
	s := &staged{view: v, name: rand.Text(), room: claim{ledger: &v.used}}
	if err := s.room.take(0, 1); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(v.stage.at(), s.name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		s.room.release()
		return nil, err
	}
	s.file = os.NewFile(uintptr(fd), s.name)
	if err := unix.Fchmod(fd, mode&0o777); err != nil {
		return nil, errors.Join(err, s.drop())
	}
	return s, nil
}

// Write adds to the file, or writes nothing where there is no room for all of data.
func (s *staged) Write(data []byte) (int, error) {
	select {
	case <-s.view.done:
		return 0, errClosed()
	default:
	}
	if err := s.room.take(int64(len(data)), 0); err != nil {
		return 0, err
	}
	return s.file.Write(data)
}

// drop removes the file, unless it has got its name.
func (s *staged) drop() error {
	if s.name == "" {
		return nil
	}
	_ = s.file.Close() // it may be closed already
	err := unix.Unlinkat(s.view.stage.at(), s.name, 0)
	s.room.release()
	s.name = ""
	if errors.Is(err, unix.ENOENT) {
		return nil // a patch gave it its name, and took it back
	}
	return err
}

// put gives the file its name, in place of what has it: no directory. It must be called in a change.
func (s *staged) put(to spot) error {
	if err := s.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	if err := s.view.place(s.name, to); err != nil {
		return err
	}
	s.settle()
	return nil
}

// settle notes that the file has got its name.
func (s *staged) settle() {
	_ = s.file.Close() // it may be closed already
	s.room.keep()
	s.name = ""
}

// place renames what is in the stage to a spot, in place of what is there. It must be called in a change.
func (v *view) place(staged string, to spot) error {
	if err := to.allows(ownerWrite | ownerEnter); err != nil {
		return err
	}
	old, err := to.stat(to.name)
	there := err == nil
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := unix.Renameat(v.stage.at(), staged, to.at(), to.name); err != nil {
		return err
	}
	if there {
		v.used.gone(old)
	}
	return nil
}

// target returns the spot at which a new file takes the place of what path leads to, and the mode that file
// should have: a mode of zero means that of the old file, or 0644.
func (v *view) target(path string, mode uint32) (spot, uint32, error) {
	to, err := v.find(path, true)
	if err != nil {
		return spot{}, 0, err
	}
	stat, err := to.stat(to.name)
	switch {
	case err == nil:
		err = regular(stat, 0)
		if mode == 0 {
			mode = stat.Mode & 0o777
		}
	case errors.Is(err, unix.ENOENT):
		err = to.fits()
	}
	if err != nil {
		to.close()
		return spot{}, 0, err
	}
	if mode == 0 {
		mode = 0o644
	}
	return to, mode, nil
}

// fits reports whether something new can have the path.
func (s spot) fits() error {
	if len(s.path) >= unix.PathMax || len(s.name) > unix.NAME_MAX {
		return unix.ENAMETOOLONG
	}
	return s.allows(ownerWrite | ownerEnter)
}

// prepare makes a file to be put at path, and the directories above that.
func (v *view) prepare(path string, mode uint32) (*staged, error) {
	err := v.change(func() error {
		to, found, err := v.target(path, mode)
		if errors.Is(err, unix.ENOENT) {
			if err = v.makeDirectories(filepath.Dir(path)); err == nil {
				to, found, err = v.target(path, mode)
			}
		}
		if err != nil {
			return err
		}
		defer to.close()
		mode = found
		return to.allows(ownerWrite | ownerEnter)
	})
	if err != nil {
		return nil, err
	}
	return v.newStaged(mode)
}

// replace writes a file beside the old one and puts it in its place when it is whole.
func (v *view) replace(path string, mode uint32, fill func(*staged) error) (info *sandgatev1.FileInfo, err error) {
	s, err := v.prepare(path, mode)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.drop()) }()
	if err := fill(s); err != nil {
		return nil, err
	}
	if info, err = openInfo(path, s.file); err != nil {
		return nil, err
	}
	return info, v.change(func() error {
		to, _, err := v.target(path, mode)
		if err != nil {
			return err
		}
		defer to.close()
		return s.put(to)
	})
}

// appendTo adds to a file, and makes it where there is none.
func (v *view) appendTo(path string, data []byte) (info *sandgatev1.FileInfo, err error) {
	err = v.change(func() error {
		if err := v.makeDirectories(filepath.Dir(path)); err != nil {
			return err
		}
		to, _, err := v.target(path, 0)
		if err != nil {
			return err
		}
		defer to.close()
		if _, err := to.stat(to.name); errors.Is(err, fs.ErrNotExist) {
			info, err = v.create(to, path, data)
			return err
		}
		file, _, err := to.file(to.name, unix.O_WRONLY|unix.O_APPEND, ownerWrite)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if err := v.used.take(int64(len(data)), 0); err != nil {
			return err
		}
		n, err := file.Write(data)
		v.used.give(int64(len(data)-n), 0)
		if err == nil {
			info, err = openInfo(path, file)
		}
		return err
	})
	return info, err
}

// create makes a new file. It must be called in a change.
func (v *view) create(to spot, path string, data []byte) (info *sandgatev1.FileInfo, err error) {
	s, err := v.newStaged(0o644)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.drop()) }()
	if _, err := s.Write(data); err != nil {
		return nil, err
	}
	if info, err = openInfo(path, s.file); err != nil {
		return nil, err
	}
	return info, s.put(to)
}
