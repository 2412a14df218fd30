package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// maxLine bounds one line, its end left out. The longest that is written is shorter: each text is
	// bounded, and JSON makes six bytes of one at most.
	maxLine = 64 << 10
	// format is the version of what is in a segment.
	format = 1
	// timeLayout is RFC 3339 with microseconds, in UTC.
	timeLayout = "2006-01-02T15:04:05.000000Z"
)

// A Record is one line of the log.
type Record struct {
	// Sequence counts the records from 1, through all segments.
	Sequence uint64 `json:"seq"`
	// Time is when it happened: RFC 3339 with microseconds, in UTC. Records stand in the order in
	// which they were written, which is nearly that of their times.
	Time string `json:"time"`
	// Previous is the SHA-256, in hex, of the line before without its end: zeros for the very first.
	Previous string `json:"prev"`
	Event
	// Segment is set in the first record of a segment.
	Segment *Segment `json:"segment,omitempty"`
}

// A Segment is what the first record of a segment says of the log.
type Segment struct {
	// Format is the version of the lines.
	Format int `json:"format"`
	// First is the sequence of the oldest record that was still kept when the segment was begun. What
	// is older was removed to make room; what is not must be there.
	First uint64 `json:"first"`
}

// sum is the hash of a line.
type sum [sha256.Size]byte

func sumOf(line []byte) sum { return sha256.Sum256(line) }

// String returns the hash in hex.
func (s sum) String() string { return hex.EncodeToString(s[:]) }

// encode returns a record as a line, its end included.
func (r Record) encode() ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write a record: %w", err)
	}
	return append(line, '\n'), nil
}

// ParseRecord reads a line without its end. It accepts what a later version may have added, and no
// line of more than 64 KiB.
func ParseRecord(line []byte) (Record, error) {
	var r Record
	if len(line) > maxLine {
		return r, errors.New("the line is too long")
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("the line is no record: %w", err)
	}
	if _, err := time.Parse(timeLayout, r.Time); err != nil {
		return r, errors.New("the line has no proper time")
	}
	previous, err := hex.DecodeString(r.Previous)
	switch {
	case r.Sequence == 0:
		return r, errors.New("the line has no sequence number")
	case err != nil || len(previous) != sha256.Size || r.Previous != hex.EncodeToString(previous):
		return r, errors.New("the line has no hash of the line before")
	case r.Kind == "":
		return r, errors.New("the line has no event")
	}
	return r, nil
}

// head is where a chain has got to. The zero value is a chain without a record.
type head struct {
	sequence uint64
	sum      sum
}

// next makes the record that continues the chain, as a line, and moves the head to it.
func (h *head) next(event Event, segment *Segment) ([]byte, error) {
	if event.At.IsZero() {
		event.At = time.Now()
	}
	line, err := Record{
		Sequence: h.sequence + 1, Time: event.At.UTC().Format(timeLayout), Previous: h.sum.String(),
		Event: event.bounded(), Segment: segment,
	}.encode()
	if err != nil {
		return nil, err
	}
	*h = head{h.sequence + 1, sumOf(bytes.TrimSuffix(line, []byte("\n")))}
	return line, nil
}
