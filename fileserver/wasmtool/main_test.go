package wasmtool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(cache())
		os.Exit(code)
	}))
}

// hostile is the program of testdata/hostile, which is built once.
//
//nolint:gochecknoglobals // one for the package
var hostile = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "hostile")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "hostile.wasm")
	build := exec.Command("go", "build", "-o", file, "./testdata/hostile")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.New(string(out))
	}
	return os.ReadFile(file)
})

// hostileManifest gives the program as much as it may have, and little time.
const hostileManifest = `{
  "description": "Does what it is told.",
  "input_schema": {"type": "object", "properties": {"do": {"type": "string"}, "text": {"type": "string"},
    "paths": {"type": "array", "items": {"type": "string"}}}},
  "limits": {"memory_mib": 128, "time_ms": 3000, "output_bytes": 100000},
  "side_effects": true, "files": ["paths"], "read": ["*.txt", "sub/**"], "write": ["a/*", "*.txt"]
}`

// newHostileTool returns the program as a tool of a host of its own.
func newHostileTool(t *testing.T) *tool {
	t.Helper()
	module, err := hostile()
	if err != nil {
		t.Fatal(err)
	}
	host, err := wasm.NewHost("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
	})
	made, err := newTool(t.Context(), host, "hostile", []byte(hostileManifest), module)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// shelfOfFiles is a workspace in memory.
type shelfOfFiles map[string]string

func (s shelfOfFiles) Fetch(_ context.Context, path string, most int64) ([]byte, error) {
	text, ok := s[path]
	if !ok {
		return nil, guestrpc.NewError(connect.CodeNotFound, fmt.Errorf("there is no %s", path), "FILE_NOT_FOUND", "")
	}
	if int64(len(text)) > most {
		return nil, errFetched()
	}
	return []byte(text), nil
}

func (s shelfOfFiles) Store(_ context.Context, path string, data []byte) error {
	s[path] = string(data)
	return nil
}

// structOf returns arguments.
func structOf(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	out, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// text returns what a model reads.
func text(res *sandgatev1.CallToolResponse) string { return res.GetContent()[0].GetText() }
