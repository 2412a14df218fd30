package archive

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandgate/sandgate/sandbox/workspace"
)

// An entry is one thing in an archive.
type entry struct {
	name     string      // as it is written there
	mode     fs.FileMode // with its type
	size     int64       // of a file, as it is said there
	modified time.Time
	unread   string                    // why its content cannot be read, empty for nothing
	open     func() (io.Reader, error) // its content, which is checked when it is read to its end
}

// unreadEncrypted is why most contents cannot be read that cannot.
const unreadEncrypted = "it is encrypted"

// A sink writes entries to a tar archive.
type sink struct {
	to      *tar.Writer
	include []*workspace.Glob
	limit   int64
	left    int64 // bytes of content that may still come
	report  Report

	looked, written, encrypted int
	read, ahead                []byte
}

// newSink returns a sink, also with an error.
func newSink(req Request, to *tar.Writer) (*sink, error) {
	s := &sink{to: to, limit: req.Limit, left: req.Limit, read: make([]byte, 32<<10), ahead: make([]byte, 32<<10)}
	for _, pattern := range req.Include {
		glob, err := workspace.ParseGlob(pattern, true)
		if err != nil {
			return s, &failure{problem: Pattern, err: err}
		}
		s.include = append(s.include, glob)
	}
	return s, nil
}

// add writes an entry, unless it is not wanted or left out.
func (s *sink) add(e entry) error {
	if s.looked++; s.looked > maxLooked {
		return fail(Many, "it has more than %d entries", maxLooked)
	}
	name, why := Clean(e.name)
	if name == "" && why == "" || !s.wants(e.name, name) {
		return nil
	}
	switch {
	case why != "":
	case e.mode&fs.ModeSymlink != 0:
		why = "it is a link"
	case !e.mode.IsDir() && !e.mode.IsRegular():
		why = "it is neither a file nor a directory"
	case e.unread == unreadEncrypted:
		s.encrypted++
		why = e.unread
	case e.mode.IsRegular():
		why = e.unread
	}
	if why != "" {
		s.skip(e.name, why)
		return nil
	}
	if s.written++; s.written > MaxEntries {
		return fail(Many, "it has more than %d files and directories", MaxEntries)
	}
	if e.mode.IsDir() {
		return s.to.WriteHeader(header(name+"/", e))
	}
	return s.file(name, e)
}

// wants tells whether an entry is asked for.
func (s *sink) wants(raw, name string) bool {
	if name == "" {
		name = strings.Trim(raw, "/") // which is only named
	}
	return len(s.include) == 0 || slices.ContainsFunc(s.include, func(g *workspace.Glob) bool { return g.Match(name) })
}

// skip notes an entry that is left out.
func (s *sink) skip(name, why string) {
	if s.report.SkippedTotal++; len(s.report.Skipped) == MaxSkipped {
		return
	}
	if most := maxSkippedText - len(why); len(name) > most {
		name = name[:most] + "…"
	}
	s.report.Skipped = append(s.report.Skipped, strings.ToValidUTF8(name, "\uFFFD")+": "+why)
}

// file writes a file.
func (s *sink) file(name string, e entry) error {
	switch {
	case e.size < 0:
		return fail(Damaged, "%s says that it has %d bytes", quote(name), e.size)
	case e.size > s.left:
		return fail(Large, "it holds more than %d bytes, which is all that there is room for: %s alone has %d", s.limit, quote(name), e.size)
	}
	s.left -= e.size
	content, err := e.open()
	if err != nil {
		return damaged(err)
	}
	if err := s.to.WriteHeader(header(name, e)); err != nil {
		return err
	}
	if err := s.copy(content, e.size); err != nil {
		return &failure{problem: problemOf(err), err: errors.New(quote(name) + ": " + err.Error())}
	}
	return nil
}

// copy writes the content of a file. It keeps the last piece back until the content has ended, and so was
// found undamaged: whoever unpacks what this writes makes no file of one that was not.
func (s *sink) copy(content io.Reader, size int64) error {
	kept, total := s.ahead[:0], int64(0)
	for {
		n, err := content.Read(s.read)
		if total += int64(n); total > size {
			return fail(Damaged, "it is longer than it says")
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return damaged(err)
		}
		if n > 0 {
			if _, writeErr := s.to.Write(kept); writeErr != nil {
				return writeErr
			}
			s.read, s.ahead = s.ahead, s.read
			kept = s.ahead[:n]
		}
		if err != nil {
			break
		}
	}
	if total < size {
		return fail(Damaged, "it is shorter than it says")
	}
	_, err := s.to.Write(kept)
	return err
}

// end ends the archive.
func (s *sink) end() error {
	if s.encrypted > 0 && s.written == 0 {
		return fail(Encrypted, "everything in it is encrypted")
	}
	return s.to.Close()
}

// header is that of an entry: what a tar archive says more of a file is nobody's business.
func header(name string, e entry) *tar.Header {
	h := &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Size: e.size, Mode: int64(e.mode.Perm()&^0o022 | 0o600)}
	if e.mode.IsDir() {
		h.Typeflag, h.Size, h.Mode = tar.TypeDir, 0, int64(e.mode.Perm()&^0o022|0o700)
	}
	const last = 1 << 33 // a year that file systems know
	if at := e.modified.Unix(); 0 < at && at < last {
		h.ModTime = time.Unix(at, 0)
	}
	return h
}

func problemOf(err error) Problem {
	if known := new(failure); errors.As(err, &known) {
		return known.problem
	}
	return Damaged
}

// quote returns a name for a message.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.Quote(name)
}
