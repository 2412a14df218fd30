package store

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/workspace"
)

// maxPatched bounds the texts before and after a patch, all together.
const maxPatched = 64 << 20

// Patch applies a unified diff. Everything is worked out before anything is written, and nothing else changes the
// files meanwhile.
func (w *Workspace) Patch(_ context.Context, req *sandgatev1.PatchRequest) (*sandgatev1.PatchResponse, error) {
	files, err := workspace.ParsePatch(req.GetPatch())
	if err != nil {
		return nil, fail(connect.CodeInvalidArgument, "BAD_PATCH", "give a unified diff, as diff -u and git diff write it", "%v", err)
	}
	v, err := w.view()
	if err != nil {
		return nil, err
	}
	defer v.close()
	p := &patching{view: v}
	if req.GetDryRun() {
		err = p.planAll(req.GetPath(), files)
	} else {
		err = v.change(func() error {
			if err := p.planAll(req.GetPath(), files); err != nil {
				return err
			}
			return p.commit()
		})
	}
	if err != nil {
		return nil, fileError(p.at, err)
	}
	res := &sandgatev1.PatchResponse{DryRun: req.GetDryRun()}
	for _, file := range p.files {
		res.Files = append(res.Files, file.res)
	}
	return res, nil
}

// patching is the work of one patch.
type patching struct {
	view  *view
	files []*patched
	size  int
	at    string // the path that is worked on
	undo  []func() error
	done  []func()
}

// patched is a file as it was, and as it will be.
type patched struct {
	path   string // with symbolic links followed
	stat   unix.Stat_t
	was    bool // it exists
	is     bool // it will exist
	text   string
	res    *sandgatev1.PatchedFile
	staged *staged
}

func (p *patching) planAll(directory string, files []workspace.FilePatch) error {
	for i := range files {
		name := files[i].Path
		if !filepath.IsAbs(name) {
			name = filepath.Join(directory, name)
		}
		path, err := p.view.checked(name)
		if err != nil {
			return err
		}
		p.at = path
		if err := p.plan(path, &files[i]); err != nil {
			return patchError(path, err)
		}
	}
	return nil
}

// patchError says of a path why the patch does not apply to it.
func patchError(path string, err error) error {
	if misfit, ok := errors.AsType[*workspace.HunkError](err); ok {
		return fail(connect.CodeFailedPrecondition, "PATCH_DOES_NOT_FIT",
			"nothing was changed; read the file from some lines before that one, and make the patch from what is there",
			"%q: %v", path, misfit)
	}
	return textError(path, err)
}

// plan works out what becomes of a file.
func (p *patching) plan(path string, patch *workspace.FilePatch) error {
	file, err := p.file(path)
	switch {
	case err != nil:
		return err
	case patch.Create && file.is:
		return fs.ErrExist
	case !patch.Create && !file.is:
		return fs.ErrNotExist
	}
	result, err := patch.Apply(file.text)
	if err != nil {
		return err
	}
	if patch.Delete && result.Text != "" {
		return fail(connect.CodeFailedPrecondition, "PATCH_DOES_NOT_FIT", "nothing was changed; take every line out of a file that is deleted",
			"%q: the patch deletes the file, and leaves something in it", path)
	}
	if p.size += len(result.Text); p.size > maxPatched {
		return fail(connect.CodeFailedPrecondition, "PATCH_TOO_LARGE", "apply it in parts", "the files have more than %d bytes", maxPatched)
	}
	file.text, file.is = result.Text, !patch.Delete
	file.note(result)
	return nil
}

// note adds to the reply what a patch does to the file.
func (f *patched) note(result workspace.Patched) {
	f.res.Added += int64(result.Added)
	f.res.Removed += int64(result.Removed)
	for _, hunk := range result.Hunks {
		f.res.Hunks = append(f.res.Hunks, &sandgatev1.PatchedHunk{Line: int64(hunk.Line), Shift: int64(hunk.Shift)})
	}
	f.res.Change = sandgatev1.ChangeType_CHANGE_TYPE_CREATE
	if f.was {
		f.res.Change = sandgatev1.ChangeType_CHANGE_TYPE_WRITE
	}
	if !f.is {
		f.res.Change = sandgatev1.ChangeType_CHANGE_TYPE_REMOVE
	}
}

// file returns a file as it is, or as the patch has made it already.
func (p *patching) file(path string) (*patched, error) {
	file := &patched{path: path, res: &sandgatev1.PatchedFile{Path: validText(path)}}
	to, _, err := p.view.target(path, 0)
	switch {
	case err == nil:
		defer to.close()
		file.path = to.path
		if file.stat, err = to.stat(to.name); err == nil {
			file.was, file.is = true, true
		} else if !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	case !errors.Is(err, unix.ENOENT):
		return nil, err
	}
	for _, other := range p.files {
		if other.path == file.path {
			return other, nil
		}
		if file.was && other.was && other.stat.Dev == file.stat.Dev && other.stat.Ino == file.stat.Ino {
			return nil, fail(connect.CodeFailedPrecondition, "SAME_FILE", "name it one way in the patch", "%q and %q are the same file", other.path, path)
		}
	}
	if len(p.files) >= workspace.MaxPatchFiles {
		return nil, workspace.ErrTooLarge
	}
	if file.was {
		if file.text, err = p.view.text(file.path); err != nil {
			return nil, err
		}
		p.size += len(file.text)
	}
	p.files = append(p.files, file)
	return file, nil
}
