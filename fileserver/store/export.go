package store

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Export streams a directory with everything in it, or one file, as a tar archive, whatever the modes of what is
// in it: this is how a workspace gets into a sandbox, and nothing may be lost on the way.
func (w *Workspace) Export(ctx context.Context, req *sandgatev1.ExportRequest, stream *connect.ServerStream[sandgatev1.ExportResponse]) error {
	_, err := on(w, req.GetPath(), func(v *view, path string) (struct{}, error) {
		out := bufio.NewWriterSize(pieces(func(data []byte) error {
			return stream.Send(&sandgatev1.ExportResponse{Data: data})
		}), chunk)
		err := v.export(ctx, path, out)
		if err == nil {
			err = out.Flush()
		}
		return struct{}{}, err
	})
	return err
}

// pieces is a writer that sends what is written in pieces that a message can hold.
type pieces func([]byte) error

func (p pieces) Write(data []byte) (int, error) {
	for done := 0; done < len(data); {
		piece := data[done:min(done+chunk, len(data))]
		if err := p(piece); err != nil {
			return done, err
		}
		done += len(piece)
	}
	return len(data), nil
}

// exporting is the work on one archive.
type exporting struct {
	ctx     context.Context //nolint:containedctx // it is that of one export, which this is
	fixed   bool            // no mode is changed, what may not be read is left out
	out     *tar.Writer
	entries int
	linked  map[uint64]string // the name under which a file with several names was sent
}

// export writes an archive.
func (v *view) export(ctx context.Context, path string, to io.Writer) error {
	x := &exporting{ctx: ctx, fixed: v.fixed, out: tar.NewWriter(to), linked: map[uint64]string{}}
	w := walk{view: v, root: path, force: !v.fixed}
	err := w.each(ctx, func(e entry) (bool, error) {
		if err := x.add(e, e.rel); err != nil || !e.is(unix.S_IFDIR) {
			return true, err
		}
		if err := w.enter(e); err != nil {
			return false, err
		}
		if w.unreadable > 0 && !v.fixed {
			return false, errTooDeep(e.path)
		}
		return true, nil
	})
	if errors.Is(err, unix.ENOTDIR) {
		err = x.alone(v, path)
	}
	if err != nil {
		return err
	}
	return x.out.Close()
}

// alone adds the only file.
func (x *exporting) alone(v *view, path string) error {
	at, err := v.find(path, true)
	if err != nil {
		return err
	}
	defer at.close()
	e := entry{in: at.folder, name: at.name, path: path}
	if e.stat, err = at.stat(at.name); err == nil {
		err = regular(e.stat, 0)
	}
	if err != nil {
		return err
	}
	return x.add(e, filepath.Base(path))
}

// add adds an entry.
func (x *exporting) add(e entry, name string) error {
	if x.entries++; x.entries > maxCopied {
		return fail(connect.CodeFailedPrecondition, "DIRECTORY_TOO_LARGE", "export less at once", "there are more than %d files", maxCopied)
	}
	header := &tar.Header{
		Format: tar.FormatPAX, Name: name, Mode: int64(e.stat.Mode & 0o777), ModTime: time.Unix(e.stat.Mtim.Unix()),
	}
	switch {
	case e.err != nil:
		return e.err
	case e.is(unix.S_IFDIR):
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
	case e.is(unix.S_IFLNK):
		target, err := e.in.readLink(e.name)
		if err != nil {
			return gone(err)
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, target
	case e.is(unix.S_IFREG):
		return x.file(e, header)
	default:
		return nil
	}
	return x.out.WriteHeader(header)
}

// gone returns nil for what says that a file went, or became another, before its turn came.
func gone(err error) error {
	for _, changed := range []error{unix.ENOENT, unix.ENXIO, unix.EISDIR, unix.EINVAL} {
		if errors.Is(err, changed) {
			return nil
		}
	}
	return err
}

// file adds a regular file.
func (x *exporting) file(e entry, header *tar.Header) error {
	file, stat, err := x.open(e)
	if err != nil {
		return gone(err)
	}
	defer func() { _ = file.Close() }()
	if stat.Nlink > 1 {
		if first, known := x.linked[stat.Ino]; known {
			header.Typeflag, header.Linkname = tar.TypeLink, first
			return x.out.WriteHeader(header)
		}
		x.linked[stat.Ino] = header.Name
	}
	header.Typeflag, header.Size = tar.TypeReg, stat.Size
	header.Mode, header.ModTime = int64(stat.Mode&0o777), time.Unix(stat.Mtim.Unix())
	if err := x.out.WriteHeader(header); err != nil {
		return err
	}
	return x.content(file, stat.Size)
}

// open opens a regular file whatever its mode, unless nothing may be changed for that: then one that may not be read
// is left out.
func (x *exporting) open(e entry) (*os.File, unix.Stat_t, error) {
	if !x.fixed {
		return e.in.forceFile(e.name)
	}
	file, stat, err := e.in.file(e.name, unix.O_RDONLY, ownerRead)
	if errors.Is(err, unix.EACCES) {
		err = unix.ENOENT
	}
	return file, stat, err
}

// content sends so many bytes of a file: zeros, where it has become shorter.
func (x *exporting) content(file *os.File, size int64) error {
	for size > 0 {
		if x.ctx.Err() != nil {
			return x.ctx.Err()
		}
		n, err := io.CopyN(x.out, file, min(size, copyPiece))
		size -= n
		if errors.Is(err, io.EOF) {
			zeros := make([]byte, chunk)
			for size > 0 && x.ctx.Err() == nil {
				n, err := x.out.Write(zeros[:min(size, chunk)])
				if size -= int64(n); err != nil {
					return err
				}
			}
			return x.ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
