package wasmtool

import (
	"context"
	"errors"
	"fmt"
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

// Once is one call of a program that is in no folder.
type Once struct {
	// Name is the tool's, as the program is told it.
	Name string
	// Manifest is the text of one. Nil means one that takes any arguments and no files.
	Manifest []byte
	// Module is the program.
	Module []byte
	// Files are where its files come from and go to.
	Files Workspace
	// Arguments are those of the call.
	Arguments *structpb.Struct
}

// Run runs a program once as a tool, under the walls that a gateway has it under. What is wrong with the manifest or
// the arguments is said before anything is compiled.
func (o *Once) Run(ctx context.Context) (_ *sandgatev1.CallToolResponse, err error) {
	manifest := o.Manifest
	if manifest == nil {
		manifest = []byte(`{"description": "a program", "input_schema": {"type": "object", "additionalProperties": true}}`)
	}
	terms, err := parseManifest(manifest)
	if err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	if _, _, err := terms.prepare(o.Arguments); err != nil {
		return nil, err
	}
	host, err := wasm.NewHost("")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	once, err := newTool(ctx, host, o.Name, manifest, o.Module)
	if err != nil {
		return nil, err
	}
	return once.call(ctx, o.Files, o.Arguments)
}
