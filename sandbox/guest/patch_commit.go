package guest

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

// commit writes the files beside the old ones, and then puts each in its place. If that fails for one of them
// the others are put back. It must be called as the user.
func (p *patching) commit() error {
	err := p.stage()
	for _, file := range p.files {
		if err == nil {
			p.at = file.path
			err = p.replace(file)
		}
	}
	if err == nil {
		for _, kept := range p.kept {
			_ = unix.Unlink(kept) // what is left of it is in nobody's way
		}
		return nil
	}
	for _, undo := range slices.Backward(p.undo) {
		if undoErr := undo(); undoErr != nil {
			err = fail(connect.CodeInternal, "PATCH_HALF_APPLIED", "look at the files that the patch names before going on",
				"%q: %s; and something could not be put back: %s", p.at, errnoText(err), errnoText(undoErr))
		}
	}
	p.undo, p.kept = nil, nil
	return err
}

// stage writes the new texts to files of their own.
func (p *patching) stage() error {
	for _, file := range p.files {
		if !file.is {
			continue
		}
		p.at = file.path
		p.undoDirectories(filepath.Dir(file.path))
		staged, err := p.service.prepare(file.path, 0)
		if err != nil {
			return err
		}
		file.staged = staged
		p.undo = append(p.undo, func() error { return removed(staged.file.Name()) })
		_, err = staged.file.WriteString(file.text)
		if err = errors.Join(err, staged.file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// undoDirectories notes the directories that are missing, which preparing a file makes.
func (p *patching) undoDirectories(path string) {
	var missing []string
	for ; path != "/"; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, path)
	}
	for _, directory := range slices.Backward(missing) {
		p.undo = append(p.undo, func() error {
			_ = unix.Rmdir(directory) // somebody may use it already
			return nil
		})
	}
}

// replace puts a file in its place, and keeps the old one until the patch is done.
func (p *patching) replace(file *patchedFile) error {
	staged := file.staged.file
	if !file.was {
		if !file.is {
			return nil // the patch made it and took it away
		}
		if err := p.service.guest.move(staged.Name(), file.path, false); err != nil {
			return err
		}
		p.undo = append(p.undo, func() error { return removed(file.path) })
		return nil
	}
	kept := filepath.Join(filepath.Dir(file.path), ".sandgate-"+rand.Text())
	p.kept = append(p.kept, kept)
	if !file.is {
		if err := os.Rename(file.path, kept); err != nil {
			return err
		}
		p.undo = append(p.undo, func() error { return os.Rename(kept, file.path) })
		return nil
	}
	if err := os.Link(file.path, kept); err != nil {
		return err
	}
	p.undo = append(p.undo, func() error {
		err := os.Rename(kept, file.path)
		return errors.Join(err, removed(kept)) // which stays where both are the same file still
	})
	return os.Rename(staged.Name(), file.path)
}

// removed removes a file, if it is there.
func removed(path string) error {
	if err := unix.Unlink(path); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
