package fileserver

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"path"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/tools/archive"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxNames bounds the names in an archive, in bytes: a ZIP archive has all of them at its end, so that they are
	// kept until then.
	maxNames = 32 << 20
	// maxLink bounds what is written in a symbolic link, in bytes.
	maxLink = 4096
	// unfinished begins the names of files that the guest is writing: the archive itself is one of them.
	unfinished = ".sandgate-"
)

// packing is one archive that is made.
type packing struct {
	format   format
	leaveOut string // the path of the archive itself

	to      packer
	entries int64
	content int64
	left    int64 // bytes of content that may still come
	names   int64 // bytes of names
	seed    maphash.Seed
	taken   map[uint64]bool // hashes of names
}

// pack writes the archive.
func (p *packing) pack(ctx context.Context, files *Files, session string, roots []root, to io.Writer) (err error) {
	p.seed, p.taken = maphash.MakeSeed(), map[uint64]bool{}
	if p.to, err = p.format(to); err != nil {
		return fmt.Errorf("begin the archive: %w", err)
	}
	for _, r := range roots {
		if err := p.root(ctx, files, session, r); err != nil {
			return err
		}
	}
	return p.to.Close()
}

// root packs one path.
func (p *packing) root(ctx context.Context, files *Files, session string, r root) error {
	e := packed{name: r.name, mode: int64(r.info.GetMode()), modified: r.info.GetModifiedAt().AsTime()}
	if e.name == "/" || path.IsAbs(e.name) {
		return guestrpc.NewError(connect.CodeInvalidArgument, errors.New("the directory above all has no name in an archive"), "BAD_PATH", "Name the directories in it.")
	}
	switch r.info.GetType() {
	case sandgatev1.FileType_FILE_TYPE_SYMLINK:
		e.kind, e.link = tar.TypeSymlink, r.info.GetSymlinkTarget()
		return p.add(e, nil)
	case sandgatev1.FileType_FILE_TYPE_DIRECTORY:
		e.kind = tar.TypeDir
		if e.name != "" {
			if err := p.add(e, nil); err != nil {
				return err
			}
		}
	case sandgatev1.FileType_FILE_TYPE_FILE:
	case sandgatev1.FileType_FILE_TYPE_OTHER, sandgatev1.FileType_FILE_TYPE_UNSPECIFIED:
		return guestrpc.NewError(connect.CodeFailedPrecondition, fmt.Errorf("%q is neither a file nor a directory", line(r.path)), "NOT_A_FILE", "Leave it out.")
	}
	exported := Piped(func(to io.Writer) error {
		return files.Export(ctx, &sandgatev1.ExportRequest{SessionId: session, Path: r.ask}, func(piece *sandgatev1.ExportResponse) error {
			_, err := to.Write(piece.GetData())
			return err
		})
	})
	defer func() { _ = exported.Close() }()
	return p.copy(exported, r)
}

// copy packs what the guest exported of a path.
func (p *packing) copy(from io.Reader, r root) error {
	isFile := r.info.GetType() == sandgatev1.FileType_FILE_TYPE_FILE
	exported := tar.NewReader(from)
	for {
		head, err := exported.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return exportError(err)
		}
		name, why := archive.Clean(head.Name)
		if why != "" || len(head.Linkname) > maxLink || isFile && head.Typeflag != tar.TypeReg {
			return guestrpc.Broken(errors.New("it exported what no directory holds"))
		}
		if name == "" || strings.HasPrefix(path.Base(name), unfinished) || !isFile && path.Join(r.path, name) == p.leaveOut || isFile && r.path == p.leaveOut {
			continue
		}
		e := packed{name: path.Join(r.name, name), kind: head.Typeflag, size: head.Size, mode: head.Mode & 0o777, modified: head.ModTime, link: head.Linkname}
		if isFile {
			e.name = r.name
		}
		if err := p.add(e, exported); err != nil {
			return err
		}
	}
}

// exportError is the error for an export that ended early: the guest's, or that it is no tar archive.
func exportError(err error) error {
	if known := new(connect.Error); errors.As(err, &known) {
		return err
	}
	return guestrpc.Broken(err)
}

// packed is an entry of the archive.
type packed struct {
	name     string
	kind     byte  // as a tar archive has it: a file, a directory, a symbolic link
	size     int64 // of a file
	mode     int64
	modified time.Time
	link     string
}

// add packs an entry.
func (p *packing) add(e packed, content io.Reader) error {
	hash := maphash.String(p.seed, e.name)
	switch e.kind {
	case tar.TypeDir:
		if p.taken[hash] {
			return nil // of the same name in another place
		}
		e.size = 0
	case tar.TypeReg:
	case tar.TypeSymlink:
		e.size = 0
	default:
		return guestrpc.Broken(errors.New("it exported what is neither a file, a directory nor a link"))
	}
	p.entries++
	p.names += int64(len(e.name) + len(e.link))
	switch {
	case p.taken[hash]:
		return guestrpc.NewError(connect.CodeInvalidArgument, fmt.Errorf("two files would both be %q in the archive", line(e.name)), "ARCHIVE_NAMES",
			"Pack one of them alone, or copy it to another name.")
	case p.entries > archive.MaxEntries:
		return guestrpc.NewError(connect.CodeFailedPrecondition, fmt.Errorf("there are more than %d files", archive.MaxEntries), "DIRECTORY_TOO_LARGE", "Pack a part of it.")
	case p.names > maxNames:
		return guestrpc.NewError(connect.CodeFailedPrecondition, fmt.Errorf("the names of the files have more than %d bytes", maxNames), "DIRECTORY_TOO_LARGE", "Pack a part of it.")
	case e.size > p.left:
		return guestrpc.NewError(connect.CodeResourceExhausted, errors.New("the files hold more than the session may"), "ARCHIVE_CONTENT_TOO_LARGE", "Pack a part of them.")
	}
	p.taken[hash] = true
	p.left -= e.size
	p.content += e.size
	to, err := p.to.Entry(e)
	if err != nil {
		return fmt.Errorf("pack a file: %w", err)
	}
	if e.kind == tar.TypeReg {
		if _, err := io.Copy(to, content); err != nil {
			return exportError(err)
		}
	}
	return nil
}
