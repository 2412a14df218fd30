package store

import (
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

// commit writes the new texts where nobody sees them, and then puts each in its place. If that fails for one of
// them the others are put back. It must be called in a change.
func (p *patching) commit() error {
	err := p.stage()
	for _, file := range p.files {
		if err == nil {
			p.at = file.path
			err = p.replace(file)
		}
	}
	if err == nil {
		for _, done := range p.done {
			done()
		}
		return nil
	}
	for _, undo := range slices.Backward(p.undo) {
		if undoErr := undo(); undoErr != nil {
			err = fail(connect.CodeInternal, "PATCH_HALF_APPLIED", "look at the files that the patch names before going on",
				"%q: the patch failed, and something could not be put back", p.at)
		}
	}
	return err
}

// stage writes the new texts to files of their own.
func (p *patching) stage() error {
	for _, file := range p.files {
		if !file.is {
			continue
		}
		p.at = file.path
		directory := filepath.Dir(file.path)
		p.undoDirectories(directory)
		if err := p.view.makeDirectories(directory); err != nil {
			return err
		}
		to, mode, err := p.view.target(file.path, 0)
		if err != nil {
			return err
		}
		err = to.allows(ownerWrite | ownerEnter)
		to.close()
		if err != nil {
			return err
		}
		if file.staged, err = p.view.newStaged(mode); err != nil {
			return err
		}
		p.undo = append(p.undo, file.staged.drop)
		if _, err := file.staged.Write([]byte(file.text)); err != nil {
			return err
		}
	}
	return nil
}

// undoDirectories notes the directories that are missing, which putting a file there makes.
func (p *patching) undoDirectories(path string) {
	var missing []string
	for ; path != p.view.home; path = filepath.Dir(path) {
		at, err := p.view.find(path, true)
		if err == nil {
			_, err = at.stat(at.name)
			at.close()
		}
		if !errors.Is(err, unix.ENOENT) {
			break
		}
		missing = append(missing, path)
	}
	for _, directory := range slices.Backward(missing) {
		p.undo = append(p.undo, func() error {
			at, err := p.view.find(directory, true)
			if err != nil {
				return nil //nolint:nilerr // it was not made
			}
			defer at.close()
			if unix.Unlinkat(at.at(), at.name, unix.AT_REMOVEDIR) == nil {
				p.view.used.give(0, 1)
			}
			return nil
		})
	}
}

// replace puts a file in its place, and keeps the old one until the patch is done.
func (p *patching) replace(file *patched) error {
	if !file.was && !file.is {
		return nil // the patch made it and took it away
	}
	to, err := p.view.find(file.path, false)
	if err != nil {
		return err
	}
	if err := to.allows(ownerWrite | ownerEnter); err != nil {
		to.close()
		return err
	}
	p.done = append(p.done, to.close)
	if !file.was {
		p.undo = append(p.undo, func() error {
			defer to.close()
			stat, err := to.stat(to.name)
			if err == nil {
				err = unix.Unlinkat(to.at(), to.name, 0)
			}
			switch {
			case errors.Is(err, unix.ENOENT): // it did not get there
				return nil
			case err == nil:
				p.view.used.gone(stat)
			}
			return err
		})
		return file.staged.put(to)
	}
	return p.exchange(file, to)
}

// exchange replaces or removes a file that is there.
func (p *patching) exchange(file *patched, to spot) error {
	kept, stage := rand.Text(), p.view.stage.at()
	keep := func() error { return unix.Renameat(to.at(), to.name, stage, kept) }
	if file.is { // for readers it is there all the time
		keep = func() error { return unix.Linkat(to.at(), to.name, stage, kept, 0) }
	}
	if err := keep(); err != nil {
		to.close()
		return err
	}
	p.done = append(p.done, func() {
		_ = unix.Unlinkat(stage, kept, 0) // at the latest it goes when the workspace is opened again
		p.view.used.gone(file.stat)
	})
	p.undo = append(p.undo, func() error {
		defer to.close()
		if err := unix.Renameat(stage, kept, to.at(), to.name); err != nil {
			return err
		}
		if err := unix.Unlinkat(stage, kept, 0); !errors.Is(err, unix.ENOENT) {
			return err // which is there where both are the same file still
		}
		return nil
	})
	if !file.is {
		return nil
	}
	if err := unix.Renameat(stage, file.staged.name, to.at(), to.name); err != nil {
		return err
	}
	staged := file.staged
	p.done = append(p.done, func() { staged.settle() })
	return nil
}
