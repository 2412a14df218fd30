package workspace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

const (
	// searchBuffer is how much of a file is searched at once.
	searchBuffer = 128 << 10
	// maxLineBytes bounds a line. What is longer is searched as if it were several with the same number.
	maxLineBytes = 1 << 20
	// maxShownBytes bounds what is shown of a line, and leadBytes what of that is before the match.
	maxShownBytes = 400
	leadBytes     = 100
	// maxKeptBytes bounds the lines that are kept for the case that they stand before a match.
	maxKeptBytes = 64 << 10
	// lineCost is what a line takes of the bytes of a Budget besides its text.
	lineCost = 16
)

// A Place is where in a file a search goes on: so many bytes from its beginning, where a line with that number
// begins. Numbers count from 1; the zero value is the beginning.
type Place struct{ Offset, Line int64 }

// A Line is a line with a match, or one near it.
type Line struct {
	// Number counts from 1.
	Number int64
	// Text is valid UTF-8 of at most 400 bytes, without the end of the line: those around the match.
	Text string
	// Context tells that it does not match.
	Context bool
	// Clipped tells that Text is not all of it.
	Clipped bool
}

// A Budget is what may be found yet.
type Budget struct {
	// Matches are lines that match.
	Matches int
	// Bytes are those of the lines' texts. A match is shown with what is around it, even if that is more.
	Bytes int
	// Deadline is when the search ends.
	Deadline time.Time
}

// Spent reports whether the search must end.
func (b *Budget) Spent() bool {
	return b.Matches <= 0 || b.Bytes <= 0 || !time.Now().Before(b.Deadline)
}

// A Search searches texts, one after another. It keeps its buffers, and is used by one goroutine.
type Search struct {
	query   *Query
	context int
	budget  *Budget

	buf    []byte // of which the lines from pos on are searched, and those before are kept for the context
	folded []byte // buf[pos:end] when it was folded, which ends with buf[:end]
	base   int64  // where in the file buf begins
	pos    int
	number int64 // of the line at pos
	shown  int   // lines before that were shown, or are lost
	after  int   // lines yet to be shown behind a match
	lines  []Line
}

// NewSearch returns a Search for query that shows so many lines around each match, and takes what it finds from
// budget, which must not be nil.
func NewSearch(query *Query, context int, budget *Budget) *Search {
	return &Search{query: query, context: context, budget: budget, buf: make([]byte, 0, searchBuffer)}
}

// File searches the text that r reads, which must begin at from. It returns the lines found, and, where the
// budget ended before the text, the place to go on, else nil. Its error is ErrBinary for what is no text, that
// of the context, or one of r.
func (s *Search) File(ctx context.Context, r io.Reader, from Place) ([]Line, *Place, error) {
	s.buf, s.base, s.pos, s.shown, s.after, s.lines = s.buf[:0], from.Offset, 0, 0, 0, nil
	s.number = max(from.Line, 1)
	for first := from.Offset == 0; ; first = false {
		atEnd, err := s.fill(r)
		if err != nil {
			return nil, nil, err
		}
		if first && IsBinary(s.buf) {
			return nil, nil, ErrBinary
		}
		end, whole := len(s.buf), true
		if !atEnd {
			if last := bytes.LastIndexByte(s.buf[s.pos:], '\n'); last >= 0 {
				end = s.pos + last + 1
			} else {
				whole = false // which is only so where the line is too long
			}
		}
		if place := s.region(end, whole); place != nil {
			return s.lines, place, nil
		}
		if atEnd {
			return s.lines, nil, nil
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if !time.Now().Before(s.budget.Deadline) {
			return s.lines, &Place{s.base + int64(s.pos), s.number}, nil
		}
	}
}

// fill drops what is not needed any more, and reads until there is a whole line or the buffer can grow no more.
func (s *Search) fill(r io.Reader) (atEnd bool, err error) {
	keep, _ := s.before(s.pos)
	s.buf = s.buf[:copy(s.buf, s.buf[keep:])]
	s.base += int64(keep)
	s.pos, s.shown = s.pos-keep, max(s.shown-keep, 0)
	for {
		if len(s.buf) == cap(s.buf) {
			if len(s.buf)-s.pos >= maxLineBytes {
				return false, nil
			}
			s.buf = append(s.buf, 0)[:len(s.buf)]
		}
		n, err := r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		case len(s.buf) == cap(s.buf) && bytes.IndexByte(s.buf[s.pos:], '\n') >= 0:
			return false, nil
		}
	}
}

// region searches the lines up to end, the last of which may lack its rest. It returns the place to go on where
// the budget ended.
func (s *Search) region(end int, whole bool) *Place {
	if s.query.fold {
		s.folded = fold(s.folded[:0], s.buf[s.pos:end])
	}
	for s.pos < end {
		if s.after == 0 && !s.skip(end) {
			break
		}
		length := bytes.IndexByte(s.buf[s.pos:end], '\n') + 1
		last := length == 0
		if last {
			length = end - s.pos
		}
		line := trimEnd(s.buf[s.pos : s.pos+length])
		switch at := s.query.find(line); {
		case at != nil:
			if place := s.match(line, at[0]); place != nil {
				return place
			}
			s.shown, s.after = s.pos+length, s.context
		case s.after > 0:
			s.show(line, s.number, -1)
			s.shown = s.pos + length
			s.after--
		}
		s.pos += length
		if !last || whole {
			s.number++
		}
	}
	return nil
}

// skip goes to the next line that can match, and reports whether there is one.
func (s *Search) skip(end int) bool {
	required := s.query.required
	if len(required) == 0 {
		return true
	}
	lines := s.buf[s.pos:end]
	searched := lines
	if s.query.fold {
		searched = s.folded[len(s.folded)-len(lines):]
	}
	at := bytes.Index(searched, required)
	if at < 0 {
		at = len(lines)
	} else {
		at = bytes.LastIndexByte(lines[:at], '\n') + 1
	}
	s.number += int64(bytes.Count(lines[:at], []byte("\n")))
	s.pos += at
	return s.pos < end
}
