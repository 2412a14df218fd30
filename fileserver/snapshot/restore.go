package snapshot

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// unpack has a sandbox unpack an archive into its home.
func unpack(ctx context.Context, sb sandbox.Sandbox, archive io.Reader) error {
	header := &sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Header{Header: &sandgatev1.ImportHeader{}}}
	begun := false
	_, err := filesOf(sb).Import(ctx, func() (*sandgatev1.ImportRequest, error) {
		if !begun {
			begun = true
			return header, nil
		}
		piece := make([]byte, pieceBytes)
		n, err := io.ReadFull(archive, piece)
		if n > 0 { // what comes of the error is seen the next time
			return &sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Data{Data: piece[:n]}}, nil
		}
		return nil, err
	})
	return err
}

// choose writes the entries of an archive that wanted chooses as another archive.
func choose(ctx context.Context, from io.Reader, to io.Writer, wanted func(name string) bool) error {
	out := tar.NewWriter(to)
	err := each(ctx, from, func(header *tar.Header, content io.Reader) error {
		if !wanted(cleanName(header.Name)) {
			return nil
		}
		header.Format, header.PAXRecords = tar.FormatPAX, nil
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		_, err := io.Copy(out, content)
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// apply makes the files of a sandbox what a difference has in the end: then is the archive of that.
// It returns how many paths it could not remove.
func apply(ctx context.Context, sb sandbox.Sandbox, d difference, then io.Reader) (left int64, err error) {
	if left, err = d.clear(ctx, sb); err != nil {
		return left, err
	}
	wanted := map[string]bool{}
	for _, name := range d.paths {
		if _, there := d.after[name]; there {
			wanted[name] = true
		}
	}
	if len(wanted) == 0 {
		return left, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, in := io.Pipe()
	chosen := make(chan struct{})
	go func() {
		defer close(chosen)
		in.CloseWithError(choose(ctx, then, in, func(name string) bool { return wanted[name] }))
	}()
	err = unpack(ctx, sb, out)
	_ = out.Close() // whoever writes stops
	<-chosen
	return left, err
}

// clear removes what a difference has not in the end, and what is something else then. It returns how many are left,
// as their names are no text.
func (d difference) clear(ctx context.Context, sb sandbox.Sandbox) (left int64, err error) {
	files, cleared := filesOf(sb), ""
	for _, name := range d.paths {
		now, there := d.before[name]
		if then, stays := d.after[name]; !there || (stays && then.kind == now.kind) {
			continue
		}
		if !utf8.ValidString(name) { // nothing can name it
			left++
			continue
		}
		if cleared != "" && within(name, cleared) {
			continue // it went with the directory that it was in
		}
		_, err := files.Remove(ctx, &sandgatev1.RemoveRequest{Path: "./" + name, Recursive: now.kind == sandgatev1.FileType_FILE_TYPE_DIRECTORY})
		if err != nil && connect.CodeOf(err) != connect.CodeNotFound { // somebody was faster
			return left, err
		}
		cleared = name
	}
	return left, nil
}

// halfway adds to the error of an undo that stopped where everything is.
func halfway(err error, before *kept) error {
	known, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	told := connect.NewError(known.Code(), fmt.Errorf("%s; some files may be as they were then, and checkpoint %s holds all as they were before", known.Message(), before.Name))
	for _, detail := range known.Details() {
		told.AddDetail(detail)
	}
	return told
}

// Fill puts what is kept under a name into the files of a sandbox. It returns false where nothing is.
func (s *Store) Fill(ctx context.Context, sb sandbox.Sandbox, tenant, name string) (bool, error) {
	k, err := s.find(group{tenant: tenant}, name)
	if err != nil {
		return false, nil // it is the answer
	}
	archive, closer, err := s.open(k)
	if err != nil {
		return false, err
	}
	defer func() { _ = closer.Close() }()
	return true, s.work(ctx, tenant, sb, func(ctx context.Context) error { return unpack(ctx, sb, archive) })
}
