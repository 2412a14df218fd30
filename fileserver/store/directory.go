package store

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// makeDirectory opens a directory after making it and those above it, as far as they are missing. It must be
// called in a change.
func (v *view) makeDirectory(path string) (folder, error) {
	at, err := v.find(path, true)
	if errors.Is(err, unix.ENOENT) {
		above, aboveErr := v.makeDirectory(filepath.Dir(path))
		if aboveErr != nil {
			return folder{}, aboveErr
		}
		above.close()
		at, err = v.find(path, true)
	}
	if err != nil {
		return folder{}, err
	}
	defer at.close()
	opened, err := at.open(at.name)
	if !errors.Is(err, unix.ENOENT) {
		return opened, err
	}
	if err := v.mkdir(at, 0o755); err != nil {
		return folder{}, err
	}
	return at.open(at.name)
}

// mkdir makes one directory. It must be called in a change.
func (v *view) mkdir(at spot, mode uint32) error {
	if err := at.fits(); err != nil {
		return err
	}
	if v.depth(at) > maxDepth {
		return errTooDeep(at.path)
	}
	if err := v.used.take(0, 1); err != nil {
		return err
	}
	if err := unix.Mkdirat(at.at(), at.name, ownerAll); err != nil {
		v.used.give(0, 1)
		return err
	}
	return unix.Fchmodat(at.at(), at.name, mode, 0) // whatever the umask
}

// makeDirectories makes a directory and those above it, as far as they are missing.
func (v *view) makeDirectories(path string) error {
	made, err := v.makeDirectory(path)
	made.close()
	return err
}
