package main

import (
	"context"
	"path/filepath"

	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/wasmtool"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/catalog"
)

// wasmToolsFolder is where the operator's compiled tools are kept, in the state's folder.
const wasmToolsFolder = "wasm-tools"

// openWasmTools offers the operator's own tools, where there is a folder of them.
func (g *gatewayParts) openWasmTools(ctx context.Context, registry *gateway.Registry) error {
	if g.cfg.WasmTools == "" {
		return nil
	}
	reserved, err := toolNames()
	if err != nil {
		return err
	}
	set, err := wasmtool.Open(ctx, wasmtool.Options{
		Folder: g.cfg.WasmTools, CacheDir: filepath.Join(g.cfg.StateDir, wasmToolsFolder),
		Sessions: g.sessions, Files: fileserver.New(g.sessions), Reserved: reserved, Logger: g.log,
	})
	if err != nil {
		return hintError{err: err, hint: "wasm_tools names it; `sandgate wasm check FOLDER` says what is wrong with a folder"}
	}
	g.undo.add("close the operator's tools", func(context.Context) error { return set.Close() })
	gateway.RegisterOwnTools(registry, set)
	return nil
}

// toolNames tells which names are of tools of the API.
func toolNames() (func(string) bool, error) {
	known, err := catalog.New()
	if err != nil {
		return nil, err
	}
	return func(name string) bool { return known.Tool(name) != nil }, nil
}
