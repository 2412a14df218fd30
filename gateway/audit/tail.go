package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

// followEvery is how often somebody who follows a log looks for more.
const followEvery = 200 * time.Millisecond

// Tail gives emit the last lines of a log, the oldest first, without their ends and whatever they
// hold: nothing is verified. With follow it goes on with what is written from then on, and returns
// when ctx ends, with its error. n is bounded by what the caller is ready to hold. Lines that are
// longer than 64 KiB come in pieces.
func Tail(ctx context.Context, dir string, n int, follow bool, emit func(line []byte) error) error {
	lines, at, err := last(ctx, dir, n)
	for _, line := range lines {
		if err == nil {
			err = emit(line)
		}
	}
	if err != nil || !follow {
		return err
	}
	looks := time.NewTicker(followEvery)
	defer looks.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-looks.C:
		}
		if at, err = more(ctx, dir, at, emit); err != nil {
			return err
		}
	}
}

// place is how far somebody has read.
type place struct {
	name   string // of a segment
	offset int64
}

// last returns the last lines of a log and the place behind them.
func last(ctx context.Context, dir string, n int) (lines [][]byte, at place, err error) {
	files, err := snapshot(ctx, dir)
	for i, f := range slices.Backward(files) {
		newest := i == len(files)-1
		if err == nil && (newest || len(lines) < n) {
			here := place{name: f.name}
			var found [][]byte
			err = scan(ctx, io.NewSectionReader(f.file, 0, f.size), &here, func(line []byte) error {
				if found = append(found, bytes.Clone(line)); len(found) > 2*n {
					found = slices.Delete(found, 0, len(found)-n)
				}
				return nil
			})
			lines = append(found, lines...)
			lines = lines[max(0, len(lines)-n):]
			if newest {
				at = here
			}
		}
		_ = f.file.Close() // only read from
	}
	return lines, at, err
}

// more emits what was written behind a place, and returns the new one.
func more(ctx context.Context, dir string, at place, emit func(line []byte) error) (place, error) {
	files, err := snapshot(ctx, dir)
	for _, f := range files {
		if f.name > at.name {
			at = place{name: f.name}
		}
		if err == nil && f.name == at.name && f.size > at.offset {
			err = scan(ctx, io.NewSectionReader(f.file, at.offset, f.size-at.offset), &at, emit)
		}
		_ = f.file.Close() // only read from
	}
	return at, err
}

// scan emits the whole lines of a reader, without their ends, and moves a place behind them.
func scan(ctx context.Context, from io.Reader, at *place, emit func(line []byte) error) error {
	lines := bufio.NewReaderSize(from, maxLine+1)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		at.offset += int64(len(line))
		if err := emit(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return err
		}
	}
}
