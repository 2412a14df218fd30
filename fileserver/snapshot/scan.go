package snapshot

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"path"
	"strings"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxNames bounds the names of an archive that is compared, together, in bytes: they are held in memory.
	maxNames = 16 << 20
	// maxText is the size of a file that a diff is made of.
	maxText = 64 << 10
	// maxTexts bounds the texts that are held for diffs, together, in bytes.
	maxTexts = 4 << 20
)

// state is what is compared of a path.
type state struct {
	kind sandgatev1.FileType
	mode int64
	size int64
	link string            // of a symbolic link
	sum  [sha256.Size]byte // of the content
}

// tree is the states of all paths of an archive, relative to the home.
type tree map[string]state

// scanning is the reading of one archive.
type scanning struct {
	ctx   context.Context //nolint:containedctx // it is that of one reading, which this is
	tree  tree
	links map[string]string // hard links: of a name, the one that its content came under
	names int
	texts map[string][]byte // of files that want says something of
	held  int
	want  func(name string, now state) bool // whether the content of a file is needed. Nil: none
	sum   hash.Hash
}

// scan reads an archive. It keeps the content of small files that want chooses.
func scan(ctx context.Context, archive io.Reader, want func(name string, now state) bool) (*scanning, error) {
	s := &scanning{ctx: ctx, tree: tree{}, links: map[string]string{}, texts: map[string][]byte{}, want: want, sum: sha256.New()}
	if err := each(ctx, archive, s.entry); err != nil {
		return nil, err
	}
	return s, nil
}

// entry notes one entry.
func (s *scanning) entry(header *tar.Header, content io.Reader) error {
	name := cleanName(header.Name)
	if name == "" {
		return nil // the home itself
	}
	if s.names += len(name) + len(header.Linkname); s.names > maxNames {
		return guestrpc.NewError(connect.CodeFailedPrecondition, errors.New("the names of all files are too long to be compared"),
			"DIRECTORY_TOO_LARGE", "Remove files that are not needed.")
	}
	delete(s.links, name)
	now := state{mode: header.Mode & 0o777}
	switch header.Typeflag {
	case tar.TypeDir:
		now.kind = sandgatev1.FileType_FILE_TYPE_DIRECTORY
	case tar.TypeSymlink:
		now.kind, now.link, now.mode = sandgatev1.FileType_FILE_TYPE_SYMLINK, header.Linkname, 0
	case tar.TypeLink: // another name of a file that came before
		now = s.tree[cleanName(header.Linkname)]
		if now.kind != sandgatev1.FileType_FILE_TYPE_FILE {
			return damaged(errors.New("a link leads to no file"))
		}
		s.links[name] = cleanName(header.Linkname)
	case tar.TypeReg:
		return s.file(name, now, header.Size, content)
	default:
		return nil
	}
	s.tree[name] = now
	return nil
}

// file notes a regular file.
func (s *scanning) file(name string, now state, size int64, content io.Reader) error {
	now.kind, now.size = sandgatev1.FileType_FILE_TYPE_FILE, size
	s.sum.Reset()
	var text []byte
	if size <= maxText && s.want != nil {
		text = make([]byte, size)
		if _, err := io.ReadFull(content, text); err != nil {
			return damaged(err)
		}
		_, _ = s.sum.Write(text)
	} else if err := copyAll(s.ctx, s.sum, content); err != nil {
		return damaged(err)
	}
	s.sum.Sum(now.sum[:0])
	s.tree[name] = now
	if text != nil && s.held+len(text) <= maxTexts && s.want(name, now) {
		s.texts[name] = text
		s.held += len(text)
	}
	return nil
}

// cleanName returns the path of a name in an archive, relative to the home and without a way out of it.
func cleanName(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}
