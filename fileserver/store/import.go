package store

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxPadding bounds what may come behind the end of an archive.
const maxPadding = 1 << 20

// Import unpacks a stream that is a tar archive into a directory.
func (w *Workspace) Import(ctx context.Context, stream *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error) {
	if !stream.Receive() && stream.Err() != nil {
		return nil, stream.Err()
	}
	header := stream.Msg().GetHeader()
	if header == nil {
		return nil, errNoHeader("an import")
	}
	return on(w, header.GetPath(), func(v *view, path string) (*sandgatev1.ImportResponse, error) {
		return v.unpack(ctx, path, &received{stream: stream})
	})
}

// received reads the pieces of an archive.
type received struct {
	stream *connect.ClientStream[sandgatev1.ImportRequest]
	rest   []byte
}

func (r *received) Read(to []byte) (int, error) {
	for len(r.rest) == 0 {
		switch {
		case r.stream.Receive():
		case r.stream.Err() != nil:
			return 0, r.stream.Err()
		default:
			return 0, io.EOF
		}
		if r.stream.Msg().GetHeader() != nil {
			return 0, errSecondHeader("an import")
		}
		r.rest = r.stream.Msg().GetData()
	}
	n := copy(to, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// attributes are what an entry says of a file besides its content.
type attributes struct {
	mode uint32
	time time.Time
}

func attributesOf(header *tar.Header) attributes {
	return attributes{uint32(header.Mode & 0o777), header.ModTime}
}

// unpacking is the work on one archive.
type unpacking struct {
	ctx     context.Context //nolint:containedctx // it is that of one import, which this is
	view    *view
	base    string // the path of the directory, without symbolic links
	entries int
	folders map[string]attributes // of directories, which get them when they are filled
	res     *sandgatev1.ImportResponse
}

// unpack unpacks an archive into a directory.
func (v *view) unpack(ctx context.Context, path string, archive io.Reader) (*sandgatev1.ImportResponse, error) {
	u := &unpacking{ctx: ctx, view: v, folders: map[string]attributes{}, res: &sandgatev1.ImportResponse{}}
	err := v.change(func() error {
		if err := v.makeDirectories(path); err != nil {
			return err
		}
		at, err := v.find(path, true)
		u.base = at.path
		at.close()
		return err
	})
	if err != nil {
		return nil, err
	}
	err = u.all(tar.NewReader(archive))
	if finishErr := v.change(u.finish); err == nil {
		err = finishErr
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, archive, maxPadding)
		if errors.Is(err, io.EOF) {
			return u.res, nil
		}
		if err == nil {
			err = errArchive(errors.New("something comes behind its end"))
		}
	}
	return nil, u.stopped(err)
}

// all unpacks every entry.
func (u *unpacking) all(archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errArchive(err)
		}
		if u.entries++; u.entries > maxCopied {
			return fail(connect.CodeFailedPrecondition, "ARCHIVE_TOO_LARGE", "import it in parts", "there are more than %d entries", maxCopied)
		}
		if err := u.ctx.Err(); err != nil {
			return err
		}
		if err := u.entry(header, archive); err != nil {
			return fileError(header.Name, err)
		}
	}
}

// errArchive is for a stream that is no archive. What the stream itself says comes first.
func errArchive(err error) error {
	if known, ok := errors.AsType[*connect.Error](err); ok {
		return known
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fail(connect.CodeInvalidArgument, "BAD_ARCHIVE", "send a whole tar archive, not compressed", "it is no tar archive, or damaged: %v", err)
}

// stopped adds to an error what was unpacked before.
func (u *unpacking) stopped(err error) error {
	known, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	told := connect.NewError(known.Code(), fmt.Errorf("%s; %d files and %d directories with %d bytes were unpacked before",
		known.Message(), u.res.GetFiles(), u.res.GetDirectories(), u.res.GetBytes()))
	for _, detail := range known.Details() {
		told.AddDetail(detail)
	}
	return told
}

func errEntry(name, why string) error {
	return fail(connect.CodeInvalidArgument, "ENTRY_REFUSED", "leave the entry out of the archive", "%q %s", name, why)
}

// below returns the path below the directory that a name in the archive stands for, "" for the directory itself.
func (u *unpacking) below(name string) (string, error) {
	names := strings.Split(name, "/")
	switch {
	case strings.HasPrefix(name, "/"), slices.Contains(names, ".."):
		return "", errEntry(name, "leaves the directory")
	case strings.ContainsRune(name, 0):
		return "", errEntry(name, "holds a NUL byte")
	case len(u.base)+1+len(name) >= unix.PathMax,
		slices.ContainsFunc(names, func(name string) bool { return len(name) > unix.NAME_MAX }):
		return "", unix.ENAMETOOLONG
	}
	if name = path.Clean(name); name == "." {
		return "", nil
	}
	return name, nil
}

// entry unpacks one entry.
func (u *unpacking) entry(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	rel, err := u.below(header.Name)
	if err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return u.folder(header, rel)
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeSymlink, tar.TypeLink:
		if rel == "" {
			return errEntry(header.Name, "has no name")
		}
	default:
		return errEntry(header.Name, "is neither a file, a directory nor a link")
	}
	switch header.Typeflag {
	case tar.TypeSymlink:
		return u.view.change(func() error { return u.symlink(header, rel) })
	case tar.TypeLink:
		return u.view.change(func() error { return u.link(header, rel) })
	}
	return u.file(header, rel, content)
}

// folder makes a directory.
func (u *unpacking) folder(header *tar.Header, rel string) error {
	if err := u.view.change(func() error { return u.directory(rel) }); err != nil {
		return err
	}
	if rel == "" { // the directory itself is the caller's
		return nil
	}
	if _, known := u.folders[rel]; !known {
		u.res.Directories++
	}
	u.folders[rel] = attributesOf(header)
	return nil
}

// finish gives the directories their modes and times, those below first. It must be called in a change.
func (u *unpacking) finish() error {
	names := slices.Sorted(maps.Keys(u.folders))
	for _, name := range slices.Backward(names) {
		at, err := u.spot(name)
		if err != nil {
			continue // somebody has moved or removed it since
		}
		stat, err := at.stat(at.name)
		if err == nil && isType(stat, unix.S_IFDIR) {
			set := u.folders[name]
			setTime(at.folder, at.name, set.time)
			err = unix.Fchmodat(at.at(), at.name, set.mode, 0)
		}
		at.close()
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fileError(name, err)
		}
	}
	return nil
}
