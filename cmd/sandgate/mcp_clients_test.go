package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
)

// TestOfficialMCPClients has the official SDKs of Python and TypeScript, two generations each, list and
// call every tool of a real gateway: at its port, in the revisions of the protocol with and without
// sessions, and through `sandgate mcp`. Its own set-up installs them.
func TestOfficialMCPClients(t *testing.T) {
	needsEngine(t, config.RuntimeAuto)
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	scripts, installed := filepath.Join(top, "gateway/mcp/clients"), filepath.Join(top, "bin/mcp-clients")
	if out, err := exec.CommandContext(t.Context(), filepath.Join(scripts, "setup")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	state := t.TempDir()
	g := startGateway(t, state)
	t.Cleanup(func() { g.end(t, state) })
	python := func(generation string) []string {
		return []string{filepath.Join(installed, generation, "bin/python"), filepath.Join(scripts, "python.py")}
	}
	typescript := func(generation string) []string {
		return []string{"node", filepath.Join(scripts, "typescript.mjs"), filepath.Join(installed, "typescript"), generation}
	}
	port := []string{"http", g.url + mcpPath + "?template=data"}
	command := []string{"stdio", "sandgate", "mcp", "--template", "data"}
	t.Run("clients", func(t *testing.T) {
		for name, parts := range map[string][][]string{
			"Python 1, port":                   {python("python-v1"), port},
			"Python 1, command":                {python("python-v1"), command},
			"Python 2, port":                   {python("python-v2"), port, {"auto"}},
			"Python 2, port with sessions":     {python("python-v2"), port, {"legacy"}},
			"Python 2, command":                {python("python-v2"), command},
			"TypeScript 1, port":               {typescript("v1"), port},
			"TypeScript 1, command":            {typescript("v1"), command},
			"TypeScript 2, port":               {typescript("v2"), port, {"auto"}},
			"TypeScript 2, port with sessions": {typescript("v2"), port, {"legacy"}},
			"TypeScript 2, command":            {typescript("v2"), command},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var args []string
				for _, part := range parts {
					args = append(args, part...)
				}
				cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
				cmd.Env = append(os.Environ(), "SANDGATE_SERVER="+g.url)
				cmd.WaitDelay = patience
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), " tools, ") {
					t.Errorf("%v\n%s", err, out)
				}
				t.Log(strings.TrimSpace(string(out)))
			})
		}
	})
	noSessions(t, g.url)
}
