package store

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// remove removes what is at a spot. It must be called in a change.
func (v *view) remove(ctx context.Context, at spot, path string, recursive bool) error {
	stat, err := at.stat(at.name)
	if err != nil {
		return err
	}
	r := remover{ctx: ctx, ledger: &v.used, flat: !recursive, path: path}
	if err := r.entry(at.folder, at.name, stat, 0); err != nil {
		return err
	}
	return r.first
}

// remover removes a directory with everything in it, as `rm -r` does: what cannot be removed is left with what is
// above it, the rest goes, and the first error is told.
type remover struct {
	ctx    context.Context //nolint:containedctx // it is that of one removal, which the remover is
	ledger *ledger         // that the room goes back to, if any
	force  bool            // whatever the modes
	flat   bool            // nothing that is in a directory
	path   string          // of what is removed
	first  error
}

// remove removes an entry whatever it is.
func (r *remover) remove(in folder, name string, depth int) error {
	stat, err := in.statAnyway(name)
	if err == nil {
		err = r.entry(in, name, stat, depth)
	}
	if err == nil {
		err = r.first
	}
	return err
}

func (r *remover) entry(in folder, name string, stat unix.Stat_t, depth int) error {
	flags := 0
	if isType(stat, unix.S_IFDIR) {
		flags = unix.AT_REMOVEDIR
		if !r.flat {
			if err := r.below(in, name, stat, depth); err != nil {
				return err
			}
		}
	}
	if !r.force {
		if err := in.allows(ownerWrite | ownerEnter); err != nil {
			return err
		}
	}
	if err := unix.Unlinkat(in.at(), name, flags); err != nil {
		if errors.Is(err, unix.ENOTEMPTY) && !r.flat {
			return unix.EACCES // it could not be read
		}
		return err
	}
	if r.ledger != nil {
		r.ledger.gone(stat)
	}
	return nil
}

// below removes what is in a directory. It returns an error where something of it stays.
func (r *remover) below(in folder, name string, stat unix.Stat_t, depth int) error {
	if depth > maxDepth+3 {
		return errTooDeep(r.path)
	}
	open := in.open
	if r.force {
		open = in.force
	}
	here, err := open(name)
	if err != nil {
		return err
	}
	here.lent = false // it goes
	defer here.close()
	if !r.force && stat.Mode&ownerRead == 0 {
		return nil // it goes if it is empty
	}
	if r.force {
		here.mode |= ownerAll
	}
	names, err := here.names(0)
	if err != nil {
		return err
	}
	path := r.path
	defer func() { r.path = path }()
	var left error
	for _, entry := range names {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		r.path = path + "/" + entry
		err := r.one(here, entry, depth)
		if err == nil || errors.Is(err, unix.ENOENT) {
			continue
		}
		left = err
		if r.first == nil {
			r.first = fileError(r.path, err)
		}
	}
	if left != nil {
		return r.first
	}
	return nil
}

// one removes an entry of a directory.
func (r *remover) one(here folder, name string, depth int) error {
	look := here.stat
	if r.force {
		look = here.statAnyway
	}
	stat, err := look(name)
	if err != nil {
		return err
	}
	return r.entry(here, name, stat, depth+1)
}
