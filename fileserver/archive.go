package fileserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// errLate is the cause of the end of what took longer than archiveTimeout.
var errLate = errors.New("it took too long")

// Archive makes an archive of what the guest exports. That is done here and not in a WebAssembly program: what is
// read is tar archives, whose headers are of a fixed size or at most 1 MiB and are read by Go's own library, one at a
// time; they are counted, their names are checked and their content is passed on unread. Compressing, which is all
// the rest, reads nothing that anybody wrote as a format.
func (d *Documents) Archive(ctx context.Context, req *sandgatev1.ArchiveRequest) (*sandgatev1.ArchiveResponse, error) {
	sb, leave, err := d.enter(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	defer leave()
	format, ok := formatOf(req.GetDestination())
	if !ok {
		return nil, guestrpc.NewError(connect.CodeInvalidArgument, errors.New("the name of the archive does not tell its format"), "ARCHIVE_FORMAT",
			"End it in .zip, .tar, .tar.gz, .tgz, .tar.xz or .tar.zst.")
	}
	within, cancel := context.WithTimeoutCause(ctx, archiveTimeout, errLate)
	defer cancel()
	res, err := d.files.archive(within, req, &packing{format: format, left: contentLimit(sb.Spec().Limits)})
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return nil, guestrpc.NewError(connect.CodeResourceExhausted, fmt.Errorf("the archive was not made within %s", archiveTimeout), "ARCHIVE_TOO_COMPLEX",
			"Pack less at once, or as .zip or .tar.zst, which take less time than .tar.xz.")
	}
	return res, err
}

// archive looks at what is to be packed, and packs it.
func (f *Files) archive(ctx context.Context, req *sandgatev1.ArchiveRequest, p *packing) (*sandgatev1.ArchiveResponse, error) {
	session, destination := req.GetSessionId(), req.GetDestination()
	there, err := f.Stat(ctx, &sandgatev1.StatRequest{SessionId: session, Path: destination})
	switch {
	case err == nil && !req.GetOverwrite():
		return nil, guestrpc.NewError(connect.CodeAlreadyExists, fmt.Errorf("%q exists", line(destination)), "FILE_EXISTS", "Choose another name, or ask to overwrite it.")
	case err == nil && there.GetFile().GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY:
		return nil, guestrpc.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%q is a directory", line(destination)), "IS_A_DIRECTORY", "Name a file in it.")
	case err != nil && connect.CodeOf(err) != connect.CodeNotFound:
		return nil, err
	}
	roots, err := f.rootsOf(ctx, session, req.GetPaths())
	if err != nil {
		return nil, err
	}
	p.leaveOut = absolute(destination)
	packed := Piped(func(to io.Writer) error { return p.pack(ctx, f, session, roots, to) })
	defer func() { _ = packed.Close() }()
	done, err := f.uploadFrom(ctx, &sandgatev1.UploadHeader{SessionId: session, Path: destination}, packed)
	if err != nil {
		return nil, err
	}
	return &sandgatev1.ArchiveResponse{File: done.GetFile(), Entries: p.entries, ContentBytes: p.content}, nil
}

// A root is one of the paths that are packed.
type root struct {
	ask  string // as it was asked for
	path string // absolute
	name string // in the archive, "" for the home itself
	info *sandgatev1.FileInfo
}

// rootsOf describes the paths, without those that are in another of them.
func (f *Files) rootsOf(ctx context.Context, session string, paths []string) ([]root, error) {
	var roots []root
	for _, one := range paths {
		r := root{ask: one, path: absolute(one)}
		res, err := f.Stat(ctx, &sandgatev1.StatRequest{SessionId: session, Path: r.ask})
		if err != nil {
			return nil, err
		}
		r.info, r.name = res.GetFile(), path.Base(r.path)
		if inside, ok := strings.CutPrefix(r.path+"/", home+"/"); ok {
			r.name = strings.TrimSuffix(inside, "/")
		}
		roots = append(roots, r)
	}
	directories, seen := map[string]bool{}, map[string]bool{}
	for _, r := range roots {
		directories[r.path] = r.info.GetType() == sandgatev1.FileType_FILE_TYPE_DIRECTORY
	}
	kept := roots[:0]
	for _, r := range roots {
		within := seen[r.path]
		for above := r.path; !within && above != "/"; {
			above = path.Dir(above)
			within = directories[above]
		}
		if !within {
			kept = append(kept, r)
		}
		seen[r.path] = true
	}
	return kept, nil
}

// absolute is where a path leads that may be relative to the home, as far as can be told without looking.
func absolute(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(home, name)
}
