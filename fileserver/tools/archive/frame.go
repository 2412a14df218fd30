package archive

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// The program writes frames: the length of a piece of the tar archive as four bytes, big-endian, then the
// piece. A length of zero says that the report follows, as JSON, and the end.
const (
	lengthBytes = 4
	// maxReport bounds the report, in bytes: JSON writes a byte as six at most.
	maxReport = 6*(MaxSkipped+8)*(maxSkippedText+64) + 4096
)

// Write converts an archive and writes frames.
func Write(req Request, data []byte, to io.Writer) error {
	report, err := Convert(req, data, frames{to})
	if err != nil {
		return err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if _, err := to.Write(append(make([]byte, lengthBytes), text...)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// frames writes pieces as frames.
type frames struct{ to io.Writer }

func (f frames) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil // which would be the end
	}
	length := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	if _, err := f.to.Write(length); err != nil {
		return 0, err
	}
	return f.to.Write(b)
}

// A Splitter takes frames, whoever wrote them, in whatever pieces they come.
type Splitter struct {
	to     io.Writer
	length []byte
	left   uint32 // of the piece
	report []byte
	last   bool
}

// NewSplitter returns a Splitter that writes the tar archive to a writer.
func NewSplitter(to io.Writer) *Splitter { return &Splitter{to: to} }

// Write takes the next bytes, and keeps none of them. Its errors are those of the writer, and one for a
// report that is too long.
func (s *Splitter) Write(b []byte) (int, error) {
	size := len(b)
	for len(b) > 0 {
		switch {
		case s.last:
			if len(s.report)+len(b) > maxReport {
				return 0, fmt.Errorf("the report has more than %d bytes", maxReport)
			}
			s.report = append(s.report, b...)
			return size, nil
		case s.left > 0:
			n := min(len(b), int(s.left))
			if _, err := s.to.Write(b[:n]); err != nil {
				return 0, err
			}
			s.left -= uint32(n)
			b = b[n:]
		default:
			n := min(len(b), lengthBytes-len(s.length))
			s.length = append(s.length, b[:n]...)
			b = b[n:]
			if len(s.length) == lengthBytes {
				s.left = binary.BigEndian.Uint32(s.length)
				s.last, s.length = s.left == 0, s.length[:0]
			}
		}
	}
	return size, nil
}

// Report returns what was reported. An error says that nothing was, or nothing that can be read.
func (s *Splitter) Report() (Report, error) {
	var report Report
	if err := json.Unmarshal(s.report, &report); err != nil {
		return Report{}, fmt.Errorf("read the report: %w", err)
	}
	return report, nil
}
