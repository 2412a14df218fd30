package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A Report says what a log holds.
type Report struct {
	// Records and Segments count what was read.
	Records, Segments int
	// First and Last are the sequences of the oldest and the newest record.
	First, Last uint64
	// Head is the SHA-256 of the newest record, in hex.
	Head string
}

// An Anchor is a record that somebody noted elsewhere.
type Anchor struct {
	// Sequence is its number.
	Sequence uint64
	// Hash is its SHA-256, in hex.
	Hash string
}

// A Break is the first place where a log is not what was written.
type Break struct {
	// File is the segment, Line the line in it, counted from 1. Line is zero where the file as a whole
	// is meant, both are empty where it is the log.
	File string
	Line int
	// What says what is wrong.
	What string
}

// Error returns place and fault in one line.
func (b *Break) Error() string {
	switch {
	case b.File == "":
		return b.What
	case b.Line == 0:
		return b.File + ": " + b.What
	default:
		return fmt.Sprintf("%s:%d: %s", b.File, b.Line, b.What)
	}
}

// ErrNone says that a folder holds no audit log.
var ErrNone = errors.New("there is no audit log")

// Verify reads a log from its oldest record to its newest. It returns a [*Break] where a line was
// changed, removed, added or moved, or where the record of an anchor, unless that is nil, is not
// there; the report then tells how far it has come. Without a log it returns [ErrNone]; other errors say
// that the log cannot be read.
//
// What it cannot find without an anchor is that the newest records were cut off or written anew. It
// may be called while the log is written to.
func Verify(ctx context.Context, dir string, anchor *Anchor) (Report, error) {
	files, err := snapshot(ctx, dir)
	if err != nil {
		return Report{}, err
	}
	defer func() {
		for _, f := range files {
			_ = f.file.Close() // only read from
		}
	}()
	if len(files) == 0 {
		return Report{}, fmt.Errorf("%w in %s", ErrNone, dir)
	}
	v := &verifier{anchor: anchor}
	for _, f := range files {
		if err := v.segment(ctx, f); err != nil {
			return v.report, err
		}
	}
	return v.report, v.finish()
}

// snapshotFile is a segment as it was at one moment.
type snapshotFile struct {
	segment
	file *os.File
	size int64
}

// snapshot opens all segments at one moment between two writes.
func snapshot(ctx context.Context, dir string) (files []snapshotFile, err error) {
	within, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	locked, err := lock(within, dir, syscall.LOCK_SH)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNone, dir)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = locked.Close() }() // it was only locked
	segments, err := list(dir)
	for _, s := range segments {
		f, openErr := os.Open(filepath.Join(dir, s.name))
		if openErr != nil {
			return files, errors.Join(err, openErr)
		}
		info, statErr := f.Stat()
		if statErr != nil {
			return files, errors.Join(statErr, f.Close())
		}
		files = append(files, snapshotFile{s, f, info.Size()})
	}
	return files, err
}

// verifier walks a log.
type verifier struct {
	anchor   *Anchor
	anchored bool
	report   Report
	at       head
	oldest   string // the oldest segment's file
	kept     uint64 // from where on the newest segment says that records are kept
}

// segment walks one segment.
func (v *verifier) segment(ctx context.Context, f snapshotFile) error {
	v.report.Segments++
	lines := bufio.NewReaderSize(io.LimitReader(f.file, f.size), maxLine+2)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		fault := func(format string, args ...any) error {
			return &Break{File: f.name, Line: number, What: fmt.Sprintf(format, args...)}
		}
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && number > 1:
			return nil
		case errors.Is(err, io.EOF):
			return fault("the line has no end: whoever wrote it was killed, and the next gateway to start cuts it off and says so; or it was cut")
		case errors.Is(err, bufio.ErrBufferFull):
			return fault("the line is too long")
		case err != nil:
			return fmt.Errorf("read %s: %w", f.name, err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if err := v.line(bytes.TrimSuffix(line, []byte("\n")), f.segment, number); err != nil {
			return fault("%v", err)
		}
	}
}

// line checks one line against the one before.
func (v *verifier) line(line []byte, in segment, number int) error {
	record, err := ParseRecord(line)
	switch {
	case err != nil:
		return err
	case number == 1 && (record.Segment == nil || record.Segment.First == 0 || record.Segment.Format != format):
		return errors.New("the segment does not begin with a record that says so")
	case number == 1 && record.Sequence != in.first:
		return fmt.Errorf("the segment begins with record %d, and its name says %d", record.Sequence, in.first)
	case v.report.Records == 0:
		if err := v.start(record, in); err != nil {
			return err
		}
	case record.Sequence > v.at.sequence+1:
		return fmt.Errorf("records are missing: %d follows %d", record.Sequence, v.at.sequence)
	case record.Sequence <= v.at.sequence:
		return fmt.Errorf("records were added or moved: %d follows %d", record.Sequence, v.at.sequence)
	case record.Previous != v.at.sum.String():
		return fmt.Errorf("record %d was changed, or record %d: the hash of the one is not in the other", v.at.sequence, record.Sequence)
	}
	if number == 1 {
		v.kept = record.Segment.First
	}
	v.at = head{record.Sequence, sumOf(line)}
	v.report.Records++
	v.report.Last, v.report.Head = v.at.sequence, v.at.sum.String()
	return v.meet(v.at.sequence, v.at.sum.String())
}

// start takes the oldest record that there is.
func (v *verifier) start(record Record, in segment) error {
	if record.Sequence == 1 && record.Previous != (sum{}).String() {
		return errors.New("the first record of all names one before it")
	}
	v.oldest, v.report.First = in.name, record.Sequence
	return v.meet(record.Sequence-1, record.Previous)
}

// meet checks a record that may be the anchor.
func (v *verifier) meet(sequence uint64, hash string) error {
	if v.anchor == nil || v.anchor.Sequence != sequence {
		return nil
	}
	if v.anchor.Hash != hash {
		return fmt.Errorf("record %d is not the one that was noted: its hash is %s", sequence, hash)
	}
	v.anchored = true
	return nil
}

// finish checks what can only be told at the end.
func (v *verifier) finish() error {
	switch {
	case v.report.First > v.kept:
		return &Break{File: v.oldest, What: fmt.Sprintf("records are missing before %d: the log was to keep them from %d on", v.report.First, v.kept)}
	case v.anchor == nil || v.anchored:
		return nil
	case v.anchor.Sequence > v.report.Last:
		return &Break{What: fmt.Sprintf("the end is missing: the log ends with record %d, and %d was noted", v.report.Last, v.anchor.Sequence)}
	default:
		return &Break{What: fmt.Sprintf("record %d, which was noted, is older than what is kept: the log begins with %d", v.anchor.Sequence, v.report.First)}
	}
}
