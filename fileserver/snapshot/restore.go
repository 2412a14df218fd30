package snapshot

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// unpack has a sandbox unpack an archive into its home.
func unpack(ctx context.Context, sb sandbox.Sandbox, archive io.Reader) error {
	_, err := filesOf(sb).Unpack(ctx, &sandgatev1.ImportHeader{}, archive)
	return err
}

// unpackFrom has a sandbox unpack what write writes.
func unpackFrom(ctx context.Context, sb sandbox.Sandbox, write func(ctx context.Context, to io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	archive := fileserver.Piped(func(to io.Writer) error { return write(ctx, to) })
	err := unpack(ctx, sb, archive)
	cancel()
	_ = archive.Close() // whoever writes stops
	return err
}

// choice is what is taken of an archive.
type choice struct {
	wanted map[string]bool
	// first are names whose content is in the archive under a name that is not wanted, by that name: the first of
	// them gets it, and the others are links to the first.
	first map[string][]string
}

// choose returns the choice of names, which are all that is wanted. Links are the hard links in the archive.
func choose(names []string, links map[string]string) choice {
	c := choice{wanted: map[string]bool{}, first: map[string][]string{}}
	for _, name := range names {
		c.wanted[name] = true
	}
	for _, name := range names {
		if target, linked := links[name]; linked && !c.wanted[target] {
			c.first[target] = append(c.first[target], name)
		}
	}
	return c
}

// write writes what is chosen of an archive as another archive.
func (c choice) write(ctx context.Context, from io.Reader, to io.Writer) error {
	out := tar.NewWriter(to)
	err := each(ctx, from, func(header *tar.Header, content io.Reader) error {
		name := cleanName(header.Name)
		header.Format, header.PAXRecords = tar.FormatPAX, nil
		switch moved := c.first[name]; {
		case len(moved) > 0 && header.Typeflag == tar.TypeReg:
			header.Name = moved[0]
			if err := putEntry(ctx, out, header, content); err != nil {
				return err
			}
			for _, other := range moved[1:] {
				if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Format: tar.FormatPAX, Name: other, Linkname: moved[0]}); err != nil {
					return err
				}
			}
			return nil
		case !c.wanted[name]:
			return nil
		case header.Typeflag == tar.TypeLink && !c.wanted[cleanName(header.Linkname)]:
			return nil // it has come with its content
		}
		return putEntry(ctx, out, header, content)
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func putEntry(ctx context.Context, out *tar.Writer, header *tar.Header, content io.Reader) error {
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	return copyAll(ctx, out, content)
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
	for {
		k, err := s.find(group{tenant: tenant}, name)
		if err != nil {
			return false, nil // it is the answer
		}
		archive, closer, err := s.open(k)
		if connect.CodeOf(err) == connect.CodeNotFound {
			continue // a newer one has taken its place
		}
		if err != nil {
			return false, err
		}
		defer func() { _ = closer.Close() }()
		return true, s.work(ctx, tenant, sb, func(ctx context.Context) error { return unpack(ctx, sb, archive) })
	}
}
