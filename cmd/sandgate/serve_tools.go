package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/wasmtool"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/catalog"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/docker"
)

// wasmToolsFolder is where the operator's compiled tools are kept, in the state's folder.
const wasmToolsFolder = "wasm-tools"

// openWasmTools offers the operator's own tools, where there is a folder of them.
func (g *gatewayParts) openWasmTools(ctx context.Context, registry *gateway.Registry) error {
	if g.cfg.WasmTools == "" {
		return nil
	}
	set, err := openTools(ctx, g.cfg, g.sessions, g.log)
	if err != nil {
		return hintError{err: err, hint: "the setting wasm_tools names it"}
	}
	g.undo.add("close the operator's tools", func(context.Context) error { return set.Close() })
	gateway.RegisterOwnTools(registry, set)
	return nil
}

// openTools opens the folder of a configuration.
func openTools(ctx context.Context, cfg *config.Config, sessions *gateway.Sessions, log *slog.Logger) (*wasmtool.Set, error) {
	reserved, err := toolNames()
	if err != nil {
		return nil, err
	}
	return wasmtool.Open(ctx, wasmtool.Options{
		Folder: cfg.WasmTools, CacheDir: filepath.Join(cfg.StateDir, wasmToolsFolder),
		Sessions: sessions, Files: fileserver.New(sessions), Reserved: reserved, Logger: log,
	})
}

// toolNames tells which names are of tools of the API.
func toolNames() (func(string) bool, error) {
	known, err := catalog.New()
	if err != nil {
		return nil, err
	}
	return func(name string) bool { return known.Tool(name) != nil }, nil
}

// wasmToolFindings says of a folder of tools what is in it, nothing where there is none. A bad tool keeps no gateway
// from serving.
func wasmToolFindings(ctx context.Context, folder string) []docker.Finding {
	if folder == "" {
		return nil
	}
	found := docker.Finding{ID: "wasm-tools", Title: "Tools of your own", Meaning: "These tools are not offered; the others are."}
	reserved, err := toolNames()
	var (
		good []*sandgatev1.Tool
		bad  []wasmtool.Problem
	)
	if err == nil {
		good, bad, err = wasmtool.Check(ctx, folder, reserved)
	}
	switch {
	case err != nil:
		found.State, found.Value, found.Meaning = docker.StateFail, err.Error(), "`sandgate serve` does not start without the folder that wasm_tools names."
		found.Remedy = "Mend it, or take wasm_tools out of the settings."
	case len(bad) > 0:
		reasons := make([]string, 0, len(bad))
		for _, problem := range bad {
			reasons = append(reasons, problem.Name+": "+problem.Err.Error())
		}
		found.State, found.Value = docker.StateWarn, strings.Join(reasons, "; ")
		found.Remedy = "`sandgate wasm check " + folder + "` says it again when you have mended them."
	default:
		found.State, found.Value = docker.StateOK, fmt.Sprintf("%d in %s", len(good), folder)
	}
	return []docker.Finding{found}
}
