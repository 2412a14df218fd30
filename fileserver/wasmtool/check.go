package wasmtool

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// Check returns the tools of a folder, sorted by name, and what is wrong with the others. It is for whoever asks, and
// keeps nothing. Of reserved, nil means that no names are taken but those that begin as the gateway's own do.
func Check(ctx context.Context, folder string, reserved func(name string) bool) (good []*sandgatev1.Tool, bad []Problem, err error) {
	root, err := openFolder(folder)
	if err != nil {
		return nil, nil, err
	}
	host, err := wasm.NewHost("")
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	s := &Set{opts: Options{Folder: folder, Reserved: reserved, Logger: slog.New(slog.DiscardHandler)}, host: host, root: root, seen: map[string]entry{}}
	s.now.Store(&shelf{})
	defer func() { err = errors.Join(err, host.Close(), root.Close()) }()
	if _, err := s.stamps(); err != nil {
		return nil, nil, err
	}
	s.look(ctx, true)
	return s.Tools(), s.problems(), ctx.Err()
}

// RunOnce runs a program once as a tool of that name, under the walls that a gateway has it under. Of manifest, nil means
// one that takes any arguments and no files.
func RunOnce(ctx context.Context, name string, manifest, module []byte, files Workspace, arguments *structpb.Struct) (_ *sandgatev1.CallToolResponse, err error) {
	if manifest == nil {
		manifest = []byte(`{"description": "a program", "input_schema": {"type": "object", "additionalProperties": true}}`)
	}
	host, err := wasm.NewHost("")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	once, err := newTool(ctx, host, name, manifest, module)
	if err != nil {
		return nil, err
	}
	return once.call(ctx, files, arguments)
}
