// Package archive turns archives of every format that Sandgate unpacks into one form: a tar archive (POSIX
// pax) of files and directories whose names are safe. It is used inside the WASM program that runs the
// readers, so all that it is given is untrusted; the program's memory, time and output are bounded by who
// runs it, who believes the program nothing either.
package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/inflate"
)

// Bounds of one archive.
const (
	// MaxEntries are the files and directories that are unpacked of it.
	MaxEntries = 100_000
	// maxLooked are those that are looked at, wanted or not.
	maxLooked = 1_000_000
	// MaxSkipped are the entries that are named that were left out; the others are counted.
	MaxSkipped = 100
	// maxSkippedText is what is said of one of them, in bytes.
	maxSkippedText = 500
	// headroom is what an archive may hold besides the content that is unpacked, in bytes.
	headroom = 1 << 30
)

// A Request says what is wanted of an archive.
type Request struct {
	Name    string   `json:"name"`              // of its file, without the directory
	Include []string `json:"include,omitempty"` // patterns of the names that are wanted; none: all
	Limit   int64    `json:"limit"`             // bytes of content at most
}

// A Report tells what became of an archive.
type Report struct {
	Skipped      []string `json:"skipped,omitempty"` // names that were left out and why
	SkippedTotal int64    `json:"skipped_total,omitempty"`
	Problem      Problem  `json:"problem,omitempty"` // why it ended early, empty: it did not
	Detail       string   `json:"detail,omitempty"`  // about the problem
}

// A Problem is a kind of reason why an archive is not unpacked, or not to its end.
type Problem string

// The problems.
const (
	// None of them is known to hold.
	None Problem = ""
	// Unknown: it is no archive.
	Unknown Problem = "unknown"
	// Damaged: it is cut, broken or lies.
	Damaged Problem = "damaged"
	// Encrypted: nothing can be read of it without a password.
	Encrypted Problem = "encrypted"
	// Large: it holds more than the limit.
	Large Problem = "large"
	// Many: it has more entries than are unpacked.
	Many Problem = "many"
	// Pattern: what is wanted cannot be understood.
	Pattern Problem = "pattern"
)

// A failure is a problem as an error.
type failure struct {
	problem Problem
	err     error
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

func fail(problem Problem, format string, args ...any) error {
	return &failure{problem: problem, err: fmt.Errorf(format, args...)}
}

// Convert writes what an archive holds to a tar archive. Where that fails, what was written before ends at
// an entry's end or within an entry, as a tar archive that was cut. Errors are those of to.
func Convert(req Request, data []byte, to io.Writer) (Report, error) {
	buffered := bufio.NewWriterSize(&target{to: to}, 64<<10)
	s, err := newSink(req, tar.NewWriter(buffered))
	if err == nil {
		err = read(req, data, s)
	}
	if err == nil {
		err = s.end()
	}
	if flushErr := buffered.Flush(); flushErr != nil {
		return s.report, flushErr
	}
	known := new(failure)
	switch {
	case err == nil:
	case errors.As(err, &known):
		s.report.Problem, s.report.Detail = known.problem, known.Error()
	default: // of a library that was given what it could not read
		s.report.Problem, s.report.Detail = Damaged, err.Error()
	}
	return s.report, nil
}

// read gives a sink the entries of an archive, by what its content begins with.
func read(req Request, data []byte, s *sink) error {
	ending := strings.ToLower(path.Ext(req.Name))
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("PK\x05\x06")), bytes.HasPrefix(data, []byte("PK00PK\x03\x04")):
		return readZip(data, s)
	case bytes.HasPrefix(data, []byte(sevenSignature)):
		return readSeven(data, s)
	}
	content, err := inflate.NewReader(data)
	if err != nil {
		return damaged(err)
	}
	if content.Method() == "xz" && !bytes.HasSuffix(bytes.TrimRight(data, "\x00"), []byte("YZ")) {
		return fail(Damaged, "it ends too early") // which the library does not always see
	}
	from := bufio.NewReaderSize(&bounded{from: content, left: s.left + headroom}, 64<<10)
	head, err := from.Peek(inflate.TarBlock)
	if err != nil && !errors.Is(err, io.EOF) {
		return damaged(err)
	}
	switch empty := len(head) == inflate.TarBlock && bytes.Count(head, []byte{0}) == len(head); {
	case inflate.IsTar(head), empty && (ending == ".tar" || strings.Contains(strings.ToLower(req.Name), ".tar.") || ending == ".tgz"):
		return readTar(from, s)
	case content.Method() != "":
		return readSingle(req.Name, data, s)
	case ending == ".zip": // behind something else, as in one that unpacks itself
		return readZip(data, s)
	default:
		return fail(Unknown, "it is no archive of a kind that is unpacked here: zip, tar, gz, bz2, xz, zst, 7z")
	}
}

// damaged is the error for a content that could not be read, unless it is a known one.
func damaged(err error) error {
	known := new(failure)
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fail(Damaged, "it ends too early")
	default:
		return &failure{problem: Damaged, err: err}
	}
}

// bounded reads what was decompressed up to a bound, for what is skipped costs time, too.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(to []byte) (int, error) {
	if b.left <= 0 {
		return 0, fail(Large, "decompressed, it is larger than what there is room for")
	}
	n, err := b.from.Read(to[:min(int64(len(to)), b.left)])
	b.left -= int64(n)
	return n, err
}

// target marks the errors of where the tar archive goes, as no library's.
type target struct{ to io.Writer }

func (t *target) Write(b []byte) (int, error) {
	n, err := t.to.Write(b)
	if err != nil {
		err = fmt.Errorf("write the entries: %w", err)
	}
	return n, err
}
