package fileserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/pdf"
	"github.com/sandgate/sandgate/fileserver/tools"
	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxDocument bounds a document, in bytes.
	maxDocument = 64 << 20
	// maxReading are how many documents are held and read at once; the others wait.
	maxReading = 4
	// readTimeout bounds the reading of one, without fetching it.
	readTimeout = time.Minute
	// replyRoom is what a reply of the reader may have besides its text, in bytes.
	replyRoom = 2 << 20
	// defaultTokens is the text of a reply where nothing else is asked for.
	defaultTokens = 8_000
	// bytesPerToken is how text is counted.
	bytesPerToken = 4
)

// Documents reads documents, in programs that run as WebAssembly. Its methods may be called by any number
// of goroutines; their errors are *connect.Errors. Close must be called.
type Documents struct {
	files    *Files
	cacheDir string
	places   chan struct{}

	begin    sync.Once
	starting sync.WaitGroup
	started  chan struct{} // closed when what follows is set
	host     *wasm.Host
	reader   *wasm.Program
	pdf      *pdf.Reader
	err      error
}

// NewDocuments returns a Documents that fetches documents with files. Its programs are compiled for the
// first document, which takes some seconds, and kept in cacheDir, which must be the host's own, for the
// gateways after this one. Empty means that they are not kept.
func NewDocuments(files *Files, cacheDir string) *Documents {
	return &Documents{files: files, cacheDir: cacheDir, places: make(chan struct{}, maxReading), started: make(chan struct{})}
}

// awaitStart has the programs compiled, and waits for them.
func (d *Documents) awaitStart(ctx context.Context) error {
	d.begin.Do(func() {
		d.starting.Go(func() {
			defer close(d.started)
			d.err = d.start(context.WithoutCancel(ctx)) // for those who call later, too
		})
	})
	select {
	case <-d.started:
		return d.err
	case <-ctx.Done():
		return guestrpc.CallerLeft(ctx.Err())
	}
}

// start compiles the programs.
func (d *Documents) start(ctx context.Context) (err error) {
	if d.host, err = wasm.NewHost(d.cacheDir); err != nil {
		return err
	}
	program, err := tools.Reader()
	if err != nil {
		return err
	}
	if d.reader, err = d.host.Compile(ctx, "reader", program); err != nil {
		return err
	}
	d.reader.Warm()
	library, err := tools.PDFium()
	if err != nil {
		return err
	}
	d.pdf, err = pdf.NewReader(ctx, d.host, library)
	return err
}

// Close ends what is being read, and frees the programs. Nothing may be read afterwards.
func (d *Documents) Close() error {
	d.begin.Do(func() {})
	d.starting.Wait()
	if d.host == nil {
		return nil
	}
	return d.host.Close()
}

// ReadDocument reads a document as Markdown.
func (d *Documents) ReadDocument(ctx context.Context, req *sandgatev1.ReadDocumentRequest) (*sandgatev1.ReadDocumentResponse, error) {
	select {
	case d.places <- struct{}{}:
		defer func() { <-d.places }()
	case <-ctx.Done():
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
	data, err := d.fetch(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := d.awaitStart(ctx); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeoutCause(ctx, readTimeout, wasm.ErrTimeout)
	defer cancel()
	wanted := document.Request{
		Name: path.Base(req.GetPath()), Format: req.GetFormat(), Parts: req.GetParts(), Search: req.GetSearch(),
		Offset: req.GetOffset(), Limit: bytesPerToken * int64(req.GetMaxTokens()),
	}
	if wanted.Limit == 0 {
		wanted.Limit = bytesPerToken * defaultTokens
	}
	res, err := d.read(within, wanted, data, req.GetPageImages())
	if ctx.Err() != nil {
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
	if err != nil {
		return nil, documentError(err)
	}
	return res, nil
}

// tooLong is the error for a document that is too large to be read.
func tooLong(size int64) error {
	return guestrpc.NewError(connect.CodeFailedPrecondition, fmt.Errorf("the document has %d bytes, and no more than %d are read", size, maxDocument),
		"DOCUMENT_TOO_LARGE", "Read it with a program of your own, such as python_run, or read ranges of it with file_read.")
}

// fetch returns the document.
func (d *Documents) fetch(ctx context.Context, req *sandgatev1.ReadDocumentRequest) ([]byte, error) {
	var data bytes.Buffer
	ask := &sandgatev1.DownloadRequest{SessionId: req.GetSessionId(), Path: req.GetPath()}
	err := d.files.Download(ctx, ask, func(piece *sandgatev1.DownloadResponse) error {
		if piece.GetTotalSize() > maxDocument {
			return tooLong(piece.GetTotalSize())
		}
		data.Grow(int(piece.GetTotalSize())) // of the first piece; the others have none
		data.Write(piece.GetData())
		return nil
	})
	return data.Bytes(), err
}

// read reads a document that is here.
func (d *Documents) read(ctx context.Context, wanted document.Request, data []byte, images bool) (*sandgatev1.ReadDocumentResponse, error) {
	isPDF := wanted.Format == "pdf" || wanted.Format == "" && bytes.Contains(data[:min(len(data), 1024)], []byte("%PDF-"))
	if !isPDF {
		reply, err := d.run(ctx, wanted, data)
		if err != nil {
			return nil, err
		}
		return responseOf(wanted, reply)
	}
	parts, err := document.ParseSelection(wanted.Parts)
	if err != nil {
		return nil, err
	}
	out := document.NewOutput(wanted)
	err = d.pdf.Read(ctx, &document.Input{Name: wanted.Name, Data: data, Parts: parts}, out)
	if err != nil && !errors.Is(err, document.ErrFormat) {
		return nil, err
	}
	res, err := responseOf(wanted, out.Reply("pdf", err))
	if err != nil || !images {
		return res, err
	}
	pictures, err := d.pdf.Images(ctx, data, parts)
	for _, picture := range pictures {
		res.Images = append(res.Images, &sandgatev1.DocumentImage{Location: picture.Location, Png: picture.PNG})
	}
	return res, err
}

// run has the reader read a document.
func (d *Documents) run(ctx context.Context, wanted document.Request, data []byte) (*document.Reply, error) {
	request, err := json.Marshal(wanted)
	if err != nil {
		return nil, fmt.Errorf("ask the reader: %w", err)
	}
	var written bytes.Buffer
	input := io.NopCloser(io.MultiReader(bytes.NewReader(append(request, '\n')), bytes.NewReader(data)))
	limits := wasm.Limits{Time: readTimeout, Output: 6*wanted.Limit + replyRoom} // JSON writes a byte as six at most
	if err := d.reader.Run(ctx, limits, input, &written); err != nil {
		return nil, err
	}
	reply := new(document.Reply)
	if err := json.Unmarshal(written.Bytes(), reply); err != nil {
		return nil, &wasm.ExitError{Program: "reader"}
	}
	return reply, nil
}
