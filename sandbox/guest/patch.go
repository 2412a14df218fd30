package guest

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

// Patch applies a unified diff. Everything is worked out before anything is written.
func (s *fileService) Patch(ctx context.Context, req *sandgatev1.PatchRequest) (*sandgatev1.PatchResponse, error) {
	files, err := workspace.ParsePatch(req.GetPatch())
	if err != nil {
		return nil, fail(connect.CodeInvalidArgument, "BAD_PATCH", "give a unified diff, as diff -u and git diff write it", "%v", err)
	}
	p := &patching{service: s}
	for i := range files {
		name := files[i].Path
		if !filepath.IsAbs(name) {
			name = filepath.Join(req.GetPath(), name)
		}
		path, err := s.guest.checked(name)
		if err != nil {
			return nil, err
		}
		if err := p.plan(ctx, path, &files[i]); err != nil {
			return nil, patchError(path, err)
		}
	}
	if !req.GetDryRun() {
		if err := s.guest.asUser(ctx, p.commit); err != nil {
			return nil, fileError(p.at, err)
		}
	}
	res := &sandgatev1.PatchResponse{DryRun: req.GetDryRun()}
	for _, file := range p.files {
		res.Files = append(res.Files, file.res)
	}
	return res, nil
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

// patching is the work of one patch.
type patching struct {
	service *fileService
	files   []*patchedFile
	size    int
	at      string // the path that is worked on
	undo    []func() error
	kept    []string // names of the old files until the patch is done
}

// patchedFile is a file as it was, and as it will be.
type patchedFile struct {
	path   string // with symbolic links followed
	stat   unix.Stat_t
	was    bool // it exists
	is     bool // it will exist
	text   string
	res    *sandgatev1.PatchedFile
	staged pending
}

// plan works out what becomes of a file.
func (p *patching) plan(ctx context.Context, path string, patch *workspace.FilePatch) error {
	file, err := p.load(ctx, path)
	switch {
	case err != nil:
		return err
	case patch.Create && file.is:
		return fs.ErrExist
	case !patch.Create && !file.is:
		return fs.ErrNotExist
	}
	patched, err := patch.Apply(file.text)
	if err != nil {
		return err
	}
	if patch.Delete && patched.Text != "" {
		return fail(connect.CodeFailedPrecondition, "PATCH_DOES_NOT_FIT", "nothing was changed; take every line out of a file that is deleted",
			"%q: the patch deletes the file, and leaves something in it", path)
	}
	if p.size += len(patched.Text); p.size > maxPatched {
		return fail(connect.CodeFailedPrecondition, "PATCH_TOO_LARGE", "apply it in parts", "the files have more than %d bytes", maxPatched)
	}
	file.text, file.is = patched.Text, !patch.Delete
	file.note(patched)
	return nil
}

// note adds to the reply what a patch does to the file.
func (f *patchedFile) note(patched workspace.Patched) {
	f.res.Added += int64(patched.Added)
	f.res.Removed += int64(patched.Removed)
	for _, hunk := range patched.Hunks {
		f.res.Hunks = append(f.res.Hunks, &sandgatev1.PatchedHunk{Line: int64(hunk.Line), Shift: int64(hunk.Shift)})
	}
	switch {
	case !f.is:
		f.res.Change = sandgatev1.ChangeType_CHANGE_TYPE_REMOVE
	case f.was:
		f.res.Change = sandgatev1.ChangeType_CHANGE_TYPE_WRITE
	default:
		f.res.Change = sandgatev1.ChangeType_CHANGE_TYPE_CREATE
	}
}

// load returns a file as it is, or as the patch has made it already.
func (p *patching) load(ctx context.Context, path string) (*patchedFile, error) {
	file := &patchedFile{path: path, res: &sandgatev1.PatchedFile{Path: validText(path)}}
	err := p.service.guest.asUser(ctx, func() error {
		target, _, err := p.service.guest.target(path, 0)
		if err != nil {
			return err
		}
		file.path = target
		in, name, err := p.service.guest.parent(target)
		if err == nil {
			defer in.close()
			file.stat, err = in.statIn(name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file.was, file.is = err == nil, err == nil
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
		if _, file.text, err = p.service.load(ctx, file.path); err != nil {
			return nil, err
		}
		p.size += len(file.text)
	}
	p.files = append(p.files, file)
	return file, nil
}
