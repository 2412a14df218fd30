package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestMCP has the official client start `sandgate mcp`, as editors do: it lists and calls, and nothing is
// left when the client is done.
func TestMCP(t *testing.T) {
	server := startFakeGateway(t)
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		p := newProgram(t, server, "mcp", "--template", "data", "--idle", "1h")
		p.cmd.Stderr = p.out
		c, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "v1"}, nil).
			Connect(t.Context(), &sdk.CommandTransport{Command: p.cmd}, &sdk.ClientSessionOptions{ProtocolVersion: revision})
		if err != nil {
			t.Fatal(err, p.out)
		}
		if list, err := c.ListTools(t.Context(), nil); err != nil || len(list.Tools) != 1 || list.Tools[0].Name != "python_run" {
			t.Errorf("%v, %v", list, err)
		}
		res, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "python_run", Arguments: map[string]any{"code": "6*7"}})
		if err != nil || res.IsError || len(res.Content) != 2 {
			t.Fatalf("%v, %v", res, err)
		}
		if text, ok := res.Content[0].(*sdk.TextContent); !ok || text.Text != "called python_run with 6*7" {
			t.Errorf("%+v", res.Content[0])
		}
		if got := output(t, server, "session", "list"); !strings.Contains(got, "data") {
			t.Errorf("its session: %s", got)
		}
		if err := c.Close(); err != nil {
			t.Errorf("the end: %v; it wrote %s", err, p.out)
		}
		noSessions(t, server)
		if p.out.String() != "" {
			t.Errorf("it wrote %s", p.out)
		}
	}
}

// TestMCPEnds ends it in every way there is, with a call under way. Its standard output has nothing in
// it but messages.
func TestMCPEnds(t *testing.T) {
	server := startFakeGateway(t)
	for name, end := range map[string]func(p *program, input io.Closer){
		"end of input": func(_ *program, input io.Closer) { _ = input.Close() },
		"SIGTERM":      func(p *program, _ io.Closer) { p.signal(t, syscall.SIGTERM) },
		"SIGINT":       func(p *program, _ io.Closer) { p.signal(t, os.Interrupt) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t, server, "mcp")
			input, err := p.cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			read, err := p.cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			p.cmd.Stderr = p.out
			if err := p.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.cmd.Process.Kill() })
			lines := bufio.NewScanner(read)
			ask := func(message string) {
				if _, err := fmt.Fprintln(input, message); err != nil {
					t.Fatal(err)
				}
			}
			ask(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
			ask(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
			ask(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"python_run","arguments":{"code":"1"},"_meta":{"progressToken":"p"}}}`)
			for _, want := range []string{`"id":1`, `"message":"begun"`, `"id":2`} {
				if !lines.Scan() || !strings.Contains(lines.Text(), want) || !json.Valid(lines.Bytes()) {
					t.Fatalf("%q does not hold %s", lines.Text(), want)
				}
			}
			ask(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"waiting"}}`)
			ask(`{"jsonrpc":"2.0","id":4,"method":"ping"}`) // answered, so that the call is under way
			if !lines.Scan() || !strings.Contains(lines.Text(), `"id":4`) {
				t.Fatalf("%q", lines.Text())
			}
			end(p, input)
			for lines.Scan() {
				if !json.Valid(lines.Bytes()) {
					t.Errorf("%q is no message", lines.Text())
				}
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("%v; it wrote %s", err, p.out)
			}
			noSessions(t, server)
		})
	}
}

// TestMCPWithoutAGateway tells the client what is wrong, and goes on: the gateway may come.
func TestMCPWithoutAGateway(t *testing.T) {
	p := newProgram(t, "http://127.0.0.1:1", "mcp")
	var told bytes.Buffer
	p.cmd.Stderr = &told
	c, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "v1"}, nil).Connect(t.Context(), &sdk.CommandTransport{Command: p.cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListTools(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "connection refused") ||
		!strings.Contains(err.Error(), "No gateway answers: start one with `sandgate serve`") {
		t.Errorf("listing: %v", err)
	}
	res, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "python_run", Arguments: map[string]any{"code": "1"}})
	if err != nil || !res.IsError {
		t.Fatalf("%v, %v", res, err)
	}
	if text, ok := res.Content[0].(*sdk.TextContent); !ok || !strings.Contains(text.Text, "No gateway answers: start one") {
		t.Errorf("%+v", res.Content[0])
	}
	if err := c.Close(); err != nil {
		t.Errorf("%v; it wrote %s", err, told.String())
	}
	if lines := strings.Count(told.String(), "\n"); lines != 1 || !strings.Contains(told.String(), "no gateway answers: ") ||
		!strings.Contains(told.String(), "; start one with `sandgate serve`") {
		t.Errorf("it wrote %s", told.String())
	}
}

// TestMCPInASession works in a session that is there, and leaves it there.
func TestMCPInASession(t *testing.T) {
	server := startFakeGateway(t)
	id := output(t, server, "session", "create")
	c, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "v1"}, nil).
		Connect(t.Context(), &sdk.CommandTransport{Command: newProgram(t, server, "mcp", "--session", id).cmd}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "python_run", Arguments: map[string]any{"code": "1"}}); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got := output(t, server, "session", "list"); !strings.Contains(got, id) || strings.Count(got, "\n") != 1 {
		t.Errorf("sessions: %s", got)
	}
}
