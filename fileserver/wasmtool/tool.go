package wasmtool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// A Workspace is where the files of a call come from, and go to. Paths are absolute and below /home/user. Its errors
// reach the caller as they are.
type Workspace interface {
	// Fetch returns a file, or an error where it has more than most bytes.
	Fetch(ctx context.Context, path string, most int64) ([]byte, error)
	// Store writes a file, and makes the directories above it.
	Store(ctx context.Context, path string, data []byte) error
}

// tool is a program with what its operator says of it. Its methods may be called by any number of goroutines.
type tool struct {
	terms
	name    string
	program *wasm.Program
	proto   *sandgatev1.Tool

	mu      sync.Mutex
	running int  // guarded by mu
	retired bool // nothing new is run; guarded by mu
}

// takesFiles tells whether calls of the tool work on files, and so in a session.
func (t *tool) takesFiles() bool { return len(t.manifest.Files)+len(t.manifest.Write) > 0 }

// enter keeps the program of the tool until leave, unless it is retired.
func (t *tool) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.retired {
		t.running++
	}
	return !t.retired
}

func (t *tool) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.freeLocked()
}

// retire lets nothing new run. The program is freed when the last call has ended.
func (t *tool) retire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retired = true
	t.freeLocked()
}

func (t *tool) freeLocked() {
	if t.retired && t.running == 0 {
		_ = t.program.Close(context.Background()) // it never fails, and its host frees what is left
	}
}

// call runs the tool once, with files of a workspace, which may be nil where it takes none. What it did is a result;
// an error says why it was not run, or why what it wrote was not stored.
func (t *tool) call(ctx context.Context, files Workspace, given *structpb.Struct) (*sandgatev1.CallToolResponse, error) {
	input, paths, err := t.prepare(given)
	if err != nil {
		return nil, err
	}
	tree, fetched, err := t.fetch(ctx, files, paths)
	if err != nil {
		return nil, err
	}
	r := &result{tool: t, receipt: &sandgatev1.Receipt{BytesIn: int64(len(input)) + fetched}}
	var out bytes.Buffer
	limits := wasm.Limits{
		Time: time.Duration(t.manifest.Limits.TimeMs) * time.Millisecond, Output: t.manifest.Limits.OutputBytes, Memory: t.manifest.Limits.MemoryMiB << 20,
	}
	start := time.Now()
	err = t.program.RunOn(ctx, tree, limits, io.NopCloser(bytes.NewReader(input)), &out)
	r.receipt.Wall, r.receipt.BytesOut = durationpb.New(time.Since(start)), int64(out.Len())
	if ctx.Err() != nil {
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
	if err := r.end(err, out.Bytes()); err != nil {
		return nil, err
	}
	if r.status == sandgatev1.Status_STATUS_OK && tree != nil {
		if err := r.store(ctx, files, tree.Written()); err != nil {
			return nil, err
		}
	}
	return r.response()
}

// prepare checks arguments, and returns them as the program gets them, and the files that they name.
func (t *terms) prepare(given *structpb.Struct) (input []byte, paths []string, err error) {
	arguments := given.AsMap()
	if err := t.check.Validate(arguments); err != nil {
		return nil, nil, refused("%s", guestrpc.Clip(err.Error(), 512))
	}
	if paths, err = t.paths(arguments); err != nil {
		return nil, nil, err
	}
	if input, err = json.Marshal(arguments); err != nil {
		return nil, nil, refused("%s", guestrpc.Clip(err.Error(), 512)) // NaN
	}
	return input, paths, nil
}

// fetch returns a tree with the files that a call names, and how many bytes they have.
func (t *tool) fetch(ctx context.Context, files Workspace, paths []string) (*wasm.Tree, int64, error) {
	if !t.takesFiles() {
		return nil, 0, nil
	}
	most := int64(0)
	if len(t.write) > 0 {
		most = maxWritten
	}
	tree, left := wasm.NewTree(most), int64(maxFetched)
	for _, path := range paths {
		data, err := files.Fetch(ctx, path, left)
		if err != nil {
			return nil, 0, err
		}
		if left -= int64(len(data)); left < 0 {
			return nil, 0, errFetched()
		}
		if err := tree.Add(path, data); err != nil {
			return nil, 0, refused("%s", guestrpc.Clip(err.Error(), 512)) // one is below another
		}
	}
	return tree, maxFetched - left, nil
}

// result is how a run ended.
type result struct {
	tool    *tool
	status  sandgatev1.Status
	text    string          // for the model
	value   *structpb.Value // what a tool of JSON answered
	code    uint32
	problem string // empty: none
	written []string
	receipt *sandgatev1.Receipt
}

// fail says that the tool did not do its work.
func (r *result) fail(status sandgatev1.Status, format string, args ...any) {
	r.status, r.problem = status, guestrpc.Clip(fmt.Sprintf(format, args...), 4<<10)
}

// end reads how a run ended. Its error is one of the host's.
func (r *result) end(err error, out []byte) error {
	limits := r.tool.manifest.Limits
	var exit *wasm.ExitError
	switch {
	case err == nil:
		r.status = sandgatev1.Status_STATUS_OK
		r.read(out)
	case errors.Is(err, wasm.ErrClosed):
		return errClosed()
	case errors.Is(err, wasm.ErrTimeout):
		r.fail(sandgatev1.Status_STATUS_TIMEOUT, "it had not ended after %d ms", limits.TimeMs)
	case errors.Is(err, wasm.ErrMemory):
		r.fail(sandgatev1.Status_STATUS_MEMORY, "it needed more than %d MiB of memory", limits.MemoryMiB)
	case errors.Is(err, wasm.ErrOutput):
		r.fail(sandgatev1.Status_STATUS_OUTPUT_LIMIT, "it wrote more than %d bytes, or more files than it may", limits.OutputBytes)
	case errors.As(err, &exit):
		r.code = exit.Code
		r.fail(sandgatev1.Status_STATUS_ERROR, "%s", exit.Error())
		if said := strings.TrimSpace(exit.Stderr); said != "" {
			r.fail(sandgatev1.Status_STATUS_ERROR, "%s", said)
		}
	default:
		return fmt.Errorf("run %s: %w", r.tool.name, err)
	}
	return nil
}

// read takes what the tool answered.
func (r *result) read(out []byte) {
	if r.tool.manifest.Output != OutputJSON {
		r.text = strings.ToValidUTF8(string(out), "\uFFFD")
		return
	}
	r.value = &structpb.Value{}
	err := checkJSON(out)
	if err == nil && !utf8.Valid(out) {
		err = errors.New("it is not UTF-8")
	}
	if err == nil {
		err = r.value.UnmarshalJSON(out)
	}
	if err != nil {
		r.value = nil
		r.fail(sandgatev1.Status_STATUS_ERROR, "what it answered is no JSON that is taken: %v", err)
		return
	}
	r.text = strings.TrimSpace(string(out))
}

// store writes what the tool wrote into the workspace: all of it is allowed, or nothing is written.
func (r *result) store(ctx context.Context, files Workspace, written []wasm.File) error {
	if len(written) > maxOutFiles {
		r.fail(sandgatev1.Status_STATUS_OUTPUT_LIMIT, "it wrote %d files, and may write %d", len(written), maxOutFiles)
		return nil
	}
	for _, file := range written {
		if !utf8.ValidString(file.Path) || !r.tool.mayWrite(file.Path) {
			r.fail(sandgatev1.Status_STATUS_ERROR, "it wrote %q, which its manifest does not allow; nothing was written", guestrpc.Clip(file.Path, 256))
			return nil
		}
		if len(file.Data) > maxStored {
			r.fail(sandgatev1.Status_STATUS_OUTPUT_LIMIT, "it wrote %q with %d bytes, and a file may have %d; nothing was written",
				guestrpc.Clip(file.Path, 256), len(file.Data), maxStored)
			return nil
		}
	}
	for _, file := range written {
		if err := files.Store(ctx, home+"/"+file.Path, file.Data); err != nil {
			return err
		}
		r.written = append(r.written, home+"/"+file.Path)
		r.receipt.BytesOut += int64(len(file.Data))
	}
	return nil
}

// response is the result as it is sent.
func (r *result) response() (*sandgatev1.CallToolResponse, error) {
	written := make([]any, 0, len(r.written))
	for _, name := range r.written {
		written = append(written, name)
	}
	fields := map[string]any{"exit_code": float64(r.code), "problem": r.problem, "written": written}
	if r.tool.manifest.Output != OutputJSON {
		fields["text"] = r.text
	}
	out, err := structpb.NewStruct(fields)
	if err != nil {
		return nil, fmt.Errorf("write the result of %s: %w", r.tool.name, err)
	}
	if r.value != nil {
		out.Fields["value"] = r.value
	}
	text := r.text
	switch {
	case r.problem != "":
		text = r.problem
	case len(r.written) > 0:
		text = strings.TrimRight(text, "\n") + "\n[written: " + strings.Join(r.written, ", ") + "]"
	}
	return &sandgatev1.CallToolResponse{
		Content: []*sandgatev1.Content{{Part: &sandgatev1.Content_Text{Text: strings.TrimPrefix(text, "\n")}}},
		Result:  out, Status: r.status, Receipt: r.receipt,
	}, nil
}
