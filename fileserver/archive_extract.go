package fileserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/tools/archive"
	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/workspace"
)

const (
	// archiveTimeout bounds the unpacking or making of an archive, with the time that the guest takes.
	archiveTimeout = 2 * time.Minute
	// maxContent bounds the files of an archive, in bytes, whatever a session may hold.
	maxContent = 16 << 30
	// headerRoom is what the headers of a tar archive take: two blocks an entry with a long name, and its padding.
	headerRoom = archive.MaxEntries * (8 << 10)
)

// Extract unpacks an archive. A program reads it, and writes a tar archive of what may be unpacked; the guest
// unpacks that. Neither believes who was before it.
func (d *Documents) Extract(ctx context.Context, req *sandgatev1.ExtractRequest) (*sandgatev1.ExtractResponse, error) {
	for _, pattern := range req.GetInclude() {
		if _, err := workspace.ParseGlob(pattern, true); err != nil {
			return nil, guestrpc.NewError(connect.CodeInvalidArgument, errors.New(line(err.Error())), "BAD_PATTERN", "Patterns are those of file_glob, such as src/**/*.go.")
		}
	}
	sb, leave, err := d.enter(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	defer leave()
	data, err := d.fetch(ctx, req.GetSessionId(), req.GetPath(), archiveTooLarge)
	if err != nil {
		return nil, err
	}
	readers, err := d.launch.get(ctx)
	if err != nil {
		return nil, archiveError(err, "")
	}
	wanted := archive.Request{Name: path.Base(req.GetPath()), Include: req.GetInclude(), Limit: contentLimit(sb.Spec().Limits)}
	x := &extraction{}
	entries := Piped(func(to io.Writer) error {
		x.report, x.err = readers.unpack(ctx, wanted, data, to)
		return nil // what was unpacked before an error stays, and the guest tells how much that is
	})
	defer func() { _ = entries.Close() }()
	destination := destinationOf(req)
	res := &sandgatev1.ExtractResponse{Destination: absolute(destination)}
	header := &sandgatev1.ImportHeader{SessionId: req.GetSessionId(), Path: destination}
	x.unpack(ctx, d.files, header, res, entries)
	if err := x.why(ctx, res); err != nil {
		return nil, err
	}
	res.SkippedTotal = max(x.report.SkippedTotal, int64(len(x.report.Skipped)))
	for _, skipped := range x.report.Skipped[:min(len(x.report.Skipped), archive.MaxSkipped)] {
		res.Skipped = append(res.Skipped, line(skipped))
	}
	return res, nil
}

// contentLimit is what a session may hold, in bytes: its files are in its memory.
func contentLimit(limits sandbox.Limits) int64 {
	return min(limits.WithDefaults().MemoryBytes, maxContent)
}

// unpack runs the program on an archive. What it writes is a tar archive as far as it is to be believed.
func (r *readers) unpack(ctx context.Context, wanted archive.Request, data []byte, to io.Writer) (archive.Report, error) {
	request, err := json.Marshal(struct {
		Size   int64           `json:"size"`
		Unpack archive.Request `json:"unpack"`
	}{int64(len(data)), wanted})
	if err != nil {
		return archive.Report{}, fmt.Errorf("ask the reader: %w", err)
	}
	input := io.NopCloser(io.MultiReader(bytes.NewReader(append(request, '\n')), bytes.NewReader(data)))
	split := archive.NewSplitter(to)
	if err := r.reader.Run(ctx, wasm.Limits{Time: archiveTimeout, Output: wanted.Limit + headerRoom}, input, split); err != nil {
		return archive.Report{}, err
	}
	report, err := split.Report()
	if err != nil {
		return archive.Report{}, &wasm.ExitError{Program: "reader"}
	}
	return report, nil
}

// extraction is what became of one archive. The report and err are the program's, and set when its output is closed.
type extraction struct {
	report  archive.Report
	err     error
	refused error // the guest's
}

// unpack has the guest unpack what comes, unless nothing does: then there was nothing to be unpacked.
func (x *extraction) unpack(ctx context.Context, files *Files, header *sandgatev1.ImportHeader, res *sandgatev1.ExtractResponse, entries *Pipe) {
	defer func() { _ = entries.Close() }() // so that the program has ended
	from := bufio.NewReaderSize(entries, maxPieceBytes)
	if _, err := from.Peek(1); err != nil {
		return
	}
	done, err := files.Unpack(ctx, header, from)
	if err != nil {
		x.refused = err
		return
	}
	res.Files, res.Directories, res.Bytes = done.GetFiles(), done.GetDirectories(), done.GetBytes()
}

// why returns why not all was unpacked, nil if it was. What the program says comes before what the guest says
// of what it was given until then, unless the guest ended it.
func (x *extraction) why(ctx context.Context, res *sandgatev1.ExtractResponse) error {
	switch {
	case ctx.Err() != nil:
		return guestrpc.CallerLeft(ctx.Err())
	case x.err == nil && x.report.Problem == archive.None, errors.Is(x.err, io.ErrClosedPipe):
		return x.refused
	}
	unpacked := fmt.Sprintf("%d files with %d bytes were unpacked before", res.GetFiles(), res.GetBytes())
	if known := new(connect.Error); errors.As(x.refused, &known) {
		if known.Code() != connect.CodeInvalidArgument { // of an archive that was cut
			return x.refused
		}
		unpacked = known.Message()
		if _, counts, ok := cutLast(unpacked, "; "); ok {
			unpacked = counts
		}
	}
	if x.err != nil {
		return archiveError(x.err, unpacked)
	}
	return problemError(x.report, unpacked)
}

// cutLast cuts a text at the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

// destinationOf is the directory to unpack into: the one that is asked for, or one beside the archive that is
// called as it is without the ending.
func destinationOf(req *sandgatev1.ExtractRequest) string {
	if req.GetDestination() != "" {
		return req.GetDestination()
	}
	name := path.Base(req.GetPath())
	short := strings.TrimSuffix(name, path.Ext(name))
	if inner := path.Ext(short); strings.EqualFold(inner, ".tar") {
		short = strings.TrimSuffix(short, inner)
	}
	if short == "" || short == name {
		short = name + "-files"
	}
	return path.Join(path.Dir(req.GetPath()), short)
}
