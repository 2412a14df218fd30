package guest

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/piece"
)

// maxPadding bounds what may come behind the end of a tar archive: writers fill up their last block.
const maxPadding = 1 << 20

// Import unpacks a stream that is a tar archive.
func (s *fileService) Import(ctx context.Context, stream *connect.ClientStream[sandgatev1.ImportRequest]) (*sandgatev1.ImportResponse, error) {
	if !stream.Receive() {
		if err := stream.Err(); err != nil {
			return nil, err
		}
		return nil, errNoHeader()
	}
	header := stream.Msg().GetHeader()
	if header == nil {
		return nil, errNoHeader()
	}
	root, err := s.guest.checked(header.GetPath())
	if err != nil {
		return nil, err
	}
	u := &unpacking{guest: s.guest, path: root, folders: map[string]uint32{}, res: &sandgatev1.ImportResponse{}, at: -1}
	err = s.guest.asUser(ctx, func() (err error) {
		if err = s.guest.makeDirectories(root); err == nil {
			u.root, err = s.guest.openDirectory(root, toUse)
		}
		return err
	})
	if err != nil {
		return nil, fileError(root, err)
	}
	defer u.close()
	if err := u.run(ctx, &importPieces{stream: stream}); err != nil {
		return nil, u.told(err)
	}
	return u.res, nil
}

// importPieces is read as what a stream brings.
type importPieces struct {
	stream *connect.ClientStream[sandgatev1.ImportRequest]
	rest   []byte
}

func (p *importPieces) Read(buf []byte) (int, error) {
	for len(p.rest) == 0 {
		if !p.stream.Receive() {
			if err := p.stream.Err(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		if p.stream.Msg().GetHeader() != nil {
			return 0, fail(connect.CodeInvalidArgument, "SECOND_HEADER", "send the header once", "an import has one header")
		}
		p.rest = p.stream.Msg().GetData()
	}
	n := copy(buf, p.rest)
	if p.rest = p.rest[n:]; len(p.rest) == 0 {
		piece.Free(p.stream.Msg().GetData())
	}
	return n, nil
}

// unpacking is one import.
type unpacking struct {
	guest   *Guest
	path    string
	root    directory
	folders map[string]uint32 // the modes of the directories, which they get when they are filled
	res     *sandgatev1.ImportResponse

	at  directory // that the last entry was in
	atP string    // its path below the root
}

func (u *unpacking) close() {
	u.at.close()
	u.root.close()
}

// run unpacks the archive.
func (u *unpacking) run(ctx context.Context, body io.Reader) error {
	archive := tar.NewReader(body)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = u.entry(ctx, header, archive)
			if _, ok := errors.AsType[unix.Errno](err); ok {
				err = fileError(u.path+"/"+header.Name, err)
			}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	switch _, err := io.CopyN(io.Discard, body, maxPadding+1); {
	case err == nil:
		return fail(connect.CodeInvalidArgument, "BAD_ARCHIVE", "send one tar archive", "more than %d bytes come behind the archive's end", maxPadding)
	case !errors.Is(err, io.EOF):
		return err
	}
	return u.guest.user.do(ctx, u.setModes)
}

// setModes gives the directories their modes, those within others first.
func (u *unpacking) setModes() error {
	names := make([]string, 0, len(u.folders))
	for name := range u.folders {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		in, err := u.enter(path.Dir(name))
		if err == nil {
			err = unix.Fchmodat(int(in), path.Base(name), u.folders[name], 0)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) { // somebody moved it meanwhile
			return err
		}
	}
	return nil
}

// entry unpacks one entry.
func (u *unpacking) entry(ctx context.Context, header *tar.Header, body io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name := path.Clean(header.Name)
	if err := u.check(header, name); err != nil {
		return err
	}
	if name == "." {
		return nil
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return u.guest.asUser(ctx, func() error { return u.makeFolder(name, uint32(header.Mode&0o777)) })
	case tar.TypeReg:
		return u.file(ctx, name, header, body)
	case tar.TypeSymlink:
		return u.guest.asUser(ctx, func() error { return u.symlink(name, header.Linkname) })
	default:
		return u.guest.asUser(ctx, func() error { return u.hardLink(name, path.Clean(header.Linkname)) })
	}
}

// check refuses entries that lead out of the directory, and those that hold nothing of a user's.
func (u *unpacking) check(header *tar.Header, name string) error {
	if leaves(name) || strings.ContainsRune(header.Name, 0) || strings.ContainsRune(header.Linkname, 0) {
		return errEntry(header.Name, "its name leads out of the directory, or is no name")
	}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeGNUSparse:
		return nil
	case tar.TypeLink:
		if target := path.Clean(header.Linkname); leaves(target) || target == "." {
			return errEntry(header.Name, "it is a link to what is not in the archive")
		}
		return nil
	default:
		return errEntry(header.Name, "it is neither a file, nor a directory, nor a link")
	}
}

// leaves reports whether a cleaned name leads out of where it begins.
func leaves(name string) bool {
	return path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../")
}

func errEntry(name, why string) error {
	return fail(connect.CodeInvalidArgument, "ENTRY_REFUSED", "make the archive without that entry",
		"the entry %q is refused: %s", validText(name[:min(len(name), 300)]), why)
}

// told returns an error as the caller is told: it is no tar archive, or how far it came.
func (u *unpacking) told(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		err = fail(connect.CodeInvalidArgument, "BAD_ARCHIVE", "send a whole tar archive, not compressed", "it is no tar archive, or not all of it: %w", err)
	}
	told, ok := errors.AsType[*connect.Error](fileError(u.path, err))
	if !ok {
		return err
	}
	longer := connect.NewError(told.Code(), fmt.Errorf("%s; %d files with %d bytes were unpacked before", told.Message(), u.res.GetFiles(), u.res.GetBytes()))
	for _, detail := range told.Details() {
		longer.AddDetail(detail)
	}
	return longer
}
