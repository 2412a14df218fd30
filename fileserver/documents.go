package fileserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxDocument bounds a document, in bytes.
	maxDocument = 64 << 20
	// maxReading are how many documents are held and read at once; the others wait. Whose turn it is among
	// tenants is for the gateway to say.
	maxReading = 4
	// fetchTimeout bounds how long a guest may take to hand a document over.
	fetchTimeout = 30 * time.Second
	// readTimeout bounds the reading of one, without fetching it.
	readTimeout = time.Minute
	// replyRoom is what a reply of the reader may have besides its text, in bytes.
	replyRoom = 2 << 20
	// defaultTokens is the text of a reply where nothing else is asked for.
	defaultTokens = 8_000
	// bytesPerToken is how text is counted.
	bytesPerToken = 4
)

// Documents reads documents and unpacks archives, in programs that run as WebAssembly, and makes archives. Its methods may be called by any number
// of goroutines; their errors are *connect.Errors, but for faults of the gateway's own. Close must be called.
type Documents struct {
	files  *Files
	places chan struct{}
	launch launch
}

// NewDocuments returns a Documents that fetches documents with files. Its programs are compiled for the
// first document, which takes some seconds, and kept in cacheDir, which must be the host's own and hold
// nothing else, for the gateways after this one. Empty means that they are not kept.
func NewDocuments(files *Files, cacheDir string) *Documents {
	return &Documents{files: files, places: make(chan struct{}, maxReading), launch: launch{cacheDir: cacheDir}}
}

// Close ends what is being read, and frees the programs. What is read afterwards fails.
func (d *Documents) Close() error { return d.launch.close() }

// ReadDocument reads a document as Markdown.
func (d *Documents) ReadDocument(ctx context.Context, req *sandgatev1.ReadDocumentRequest) (*sandgatev1.ReadDocumentResponse, error) {
	_, leave, err := d.enter(ctx, req.GetSessionId())
	if err != nil {
		return nil, err
	}
	defer leave()
	data, err := d.fetch(ctx, req.GetSessionId(), req.GetPath(), documentTooLarge)
	if err != nil {
		return nil, err
	}
	readers, err := d.launch.get(ctx)
	if err != nil {
		return nil, documentError(err)
	}
	wanted := document.Request{
		Name: path.Base(req.GetPath()), Size: int64(len(data)), Format: req.GetFormat(), Parts: req.GetParts(), Search: req.GetSearch(),
		Offset: req.GetOffset(), Limit: bytesPerToken * int64(req.GetMaxTokens()),
	}
	if wanted.Limit == 0 {
		wanted.Limit = bytesPerToken * defaultTokens
	}
	within, cancel := context.WithTimeoutCause(ctx, readTimeout, wasm.ErrTimeout)
	defer cancel()
	var res *sandgatev1.ReadDocumentResponse
	if isPDF(wanted, data) {
		res, err = readers.readPDF(within, wanted, data, req.GetPageImages())
	} else {
		res, err = readers.read(within, wanted, data)
	}
	if ctx.Err() != nil {
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
	if err != nil {
		return nil, documentError(err)
	}
	return res, nil
}

// enter finds the sandbox of a session, before anything is waited for, and then waits for a place, which must be left.
func (d *Documents) enter(ctx context.Context, sessionID string) (sb sandbox.Sandbox, leave func(), err error) {
	if sb, err = d.files.sandboxes.Sandbox(ctx, sessionID); err != nil {
		return nil, nil, err
	}
	select {
	case d.places <- struct{}{}:
		return sb, func() { <-d.places }, nil
	case <-ctx.Done():
		return nil, nil, guestrpc.CallerLeft(ctx.Err())
	}
}

// documentTooLarge is the error for a document that is not fetched.
func documentTooLarge(size int64) error {
	return guestrpc.NewError(connect.CodeFailedPrecondition,
		fmt.Errorf("the document has %d bytes, and no more than %d are read", size, maxDocument), "DOCUMENT_TOO_LARGE",
		"Read it with a program of your own, such as python_run, or read ranges of it with file_read.")
}

// fetch returns a file of at most 64 MiB; the error for a larger one is tooBig's.
func (d *Documents) fetch(ctx context.Context, sessionID, path string, tooBig func(size int64) error) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var data bytes.Buffer
	ask := &sandgatev1.DownloadRequest{SessionId: sessionID, Path: path}
	err := d.files.Download(within, ask, func(piece *sandgatev1.DownloadResponse) error {
		if piece.GetTotalSize() > maxDocument {
			return tooBig(piece.GetTotalSize())
		}
		data.Grow(int(piece.GetTotalSize())) // of the first piece; the others have none
		data.Write(piece.GetData())
		return within.Err()
	})
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return nil, guestrpc.NewError(connect.CodeDeadlineExceeded, fmt.Errorf("the sandbox took more than %s to hand the file over", fetchTimeout),
			"SANDBOX_SILENT", "The sandbox is overloaded or stuck. Try again later, or make a new session.")
	}
	return data.Bytes(), err
}

// isPDF tells whether a document is for PDFium: it begins as a PDF does, behind some bytes that mail and
// printers leave before it where its name says so.
func isPDF(wanted document.Request, data []byte) bool {
	if wanted.Format != "" {
		return wanted.Format == "pdf"
	}
	const begins = "%PDF-"
	head := data[:min(len(data), 1024)]
	if strings.EqualFold(path.Ext(wanted.Name), ".pdf") || !utf8.Valid(head) && !bytes.HasPrefix(head, []byte("PK")) {
		return bytes.Contains(head, []byte(begins))
	}
	return bytes.HasPrefix(bytes.TrimLeft(head, "\ufeff\x00\t\n\f\r "), []byte(begins))
}

// readPDF reads a PDF, and draws pages of it.
func (r *readers) readPDF(ctx context.Context, wanted document.Request, data []byte, images bool) (*sandgatev1.ReadDocumentResponse, error) {
	parts, err := document.ParseSelection(wanted.Parts)
	if err != nil {
		return nil, err
	}
	out := document.NewOutput(wanted)
	if err = r.pdf.Read(ctx, &document.Input{Name: wanted.Name, Data: data, Parts: parts}, out); errors.Is(err, wasm.ErrClosed) {
		return nil, err
	}
	reply := out.Reply("pdf", err)
	if err != nil && reply.Total == 0 {
		return nil, err
	}
	res, err := responseOf(wanted, reply)
	if err != nil || !images {
		return res, err
	}
	pictures, err := r.pdf.Images(ctx, data, parts)
	for _, picture := range pictures {
		res.Images = append(res.Images, &sandgatev1.DocumentImage{Location: picture.Location, Png: picture.PNG})
	}
	if err != nil && res.GetProblem() == "" {
		res.Problem = line("pages could not be drawn: " + err.Error())
	}
	return res, nil
}

// read has the reader read a document.
func (r *readers) read(ctx context.Context, wanted document.Request, data []byte) (*sandgatev1.ReadDocumentResponse, error) {
	request, err := json.Marshal(wanted)
	if err != nil {
		return nil, fmt.Errorf("ask the reader: %w", err)
	}
	var written bytes.Buffer
	input := io.NopCloser(io.MultiReader(bytes.NewReader(append(request, '\n')), bytes.NewReader(data)))
	limits := wasm.Limits{Time: readTimeout, Output: 6*wanted.Limit + replyRoom} // JSON writes a byte as six at most
	if err := r.reader.Run(ctx, limits, input, &written); err != nil {
		return nil, err
	}
	reply := new(document.Reply)
	if err := json.Unmarshal(written.Bytes(), reply); err != nil {
		return nil, &wasm.ExitError{Program: "reader"}
	}
	return responseOf(wanted, reply)
}
