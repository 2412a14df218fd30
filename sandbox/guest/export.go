package guest

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

const (
	// maxExported bounds the entries of one stream.
	maxExported = 100_000
	// exportBatch is how many files are open while what is in them is sent.
	exportBatch = 32
)

// Export streams a directory, or a file, as a tar archive.
func (s *fileService) Export(ctx context.Context, req *sandgatev1.ExportRequest, stream *connect.ServerStream[sandgatev1.ExportResponse]) error {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return err
	}
	pieces := bufio.NewWriterSize(exportPieces{stream}, transferChunk)
	x := &export{out: tar.NewWriter(pieces)}
	err = x.directory(ctx, s.guest, path)
	if errors.Is(err, unix.ENOTDIR) {
		err = x.single(ctx, s, path)
	}
	if err == nil {
		err = x.out.Close()
	}
	if err == nil {
		err = pieces.Flush()
	}
	if err != nil {
		return fileError(path, err)
	}
	return nil
}

// exportPieces sends what is written to it.
type exportPieces struct {
	stream *connect.ServerStream[sandgatev1.ExportResponse]
}

func (p exportPieces) Write(data []byte) (int, error) {
	for sent := 0; sent < len(data); {
		piece := data[sent:min(len(data), sent+transferChunk)]
		if err := p.stream.Send(&sandgatev1.ExportResponse{Data: piece}); err != nil {
			return sent, err
		}
		sent += len(piece)
	}
	return len(data), nil
}

// export is one stream.
type export struct {
	out     *tar.Writer
	entries int
	batch   []exported
}

// exported is an entry whose turn has come, and the file if it is one.
type exported struct {
	header *tar.Header
	file   *os.File
}

// directory writes everything in a directory.
func (x *export) directory(ctx context.Context, g *Guest, path string) error {
	defer x.drop()
	w := &walk{guest: g, root: path, force: true}
	visit := func(e walked) (step, error) {
		if err := x.take(e); err != nil {
			return walkEnd, fileError(e.path, err)
		}
		if e.mode() == unix.S_IFDIR {
			if err := w.enter(e); err != nil {
				return walkEnd, err
			}
			if w.unreadable > 0 {
				return walkEnd, fail(connect.CodeFailedPrecondition, "DIRECTORY_UNREADABLE", "change its mode, or remove it",
					"the directory %q may not be read, or is more than %d directories deep", e.path, maxWalkDepth)
			}
		}
		if len(x.batch) >= exportBatch {
			return walkRest, nil
		}
		return walkOn, nil
	}
	return w.run(ctx, visit, func() (step, error) { return walkOn, x.write(ctx) })
}

// single writes one file.
func (x *export) single(ctx context.Context, s *fileService, path string) error {
	defer x.drop()
	err := s.guest.asUser(ctx, func() error {
		file, stat, err := s.guest.openRegular(path, os.O_RDONLY, 0)
		if err == nil {
			x.batch = append(x.batch, exported{tarHeader(filepath.Base(path), stat), file})
		}
		return err
	})
	if err != nil {
		return err
	}
	return x.write(ctx)
}

// take notes an entry, and opens it if it is a file. It must be called as the user.
func (x *export) take(e walked) error {
	if x.entries++; x.entries > maxExported {
		return fail(connect.CodeFailedPrecondition, "DIRECTORY_TOO_LARGE", "take a part of it",
			"there are more than %d files", maxExported)
	}
	if e.err != nil {
		return e.err
	}
	header := tarHeader(e.rel, e.stat)
	switch e.mode() {
	case unix.S_IFDIR:
		header.Typeflag, header.Name, header.Size = tar.TypeDir, header.Name+"/", 0
	case unix.S_IFLNK: // one that went meanwhile is left out
		target, err := e.in.readLink(e.name)
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return err
		}
		header.Typeflag, header.Linkname, header.Size = tar.TypeSymlink, target, 0
	case unix.S_IFREG:
		file, err := e.force()
		if errors.Is(err, unix.ENOENT) {
			return nil // it went meanwhile
		}
		if err != nil {
			return err
		}
		x.batch = append(x.batch, exported{header, file})
		return nil
	default:
		return nil // it holds nothing
	}
	x.batch = append(x.batch, exported{header: header})
	return nil
}

// tarHeader returns the header of a file.
func tarHeader(name string, stat unix.Stat_t) *tar.Header {
	return &tar.Header{
		Typeflag: tar.TypeReg, Format: tar.FormatPAX, Name: name,
		Size: stat.Size, Mode: int64(stat.Mode & 0o777), ModTime: time.Unix(stat.Mtim.Unix()),
	}
}

// write writes what is noted. A file that has become shorter is filled up with zeros, of one that has become
// longer the rest is left out.
func (x *export) write(ctx context.Context) error {
	defer x.drop()
	for _, e := range x.batch {
		if err := x.out.WriteHeader(e.header); err != nil {
			return err
		}
		for left := e.header.Size; left > 0; {
			n, err := io.CopyN(x.out, e.file, min(left, copyPiece))
			if left -= n; errors.Is(err, io.EOF) {
				n, err = io.CopyN(x.out, zeros{}, left)
				left -= n
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// drop forgets what is noted.
func (x *export) drop() {
	for _, e := range x.batch {
		closeAll(e.file)
	}
	x.batch = x.batch[:0]
}

// zeros is read as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
