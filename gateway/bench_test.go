package gateway

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// BenchmarkRun is python_run with nothing behind it: what the gateway itself costs, the client and
// the loopback included.
func BenchmarkRun(b *testing.B) {
	g := newRig(b, nil)
	id := g.session(b)
	python := sandgatev1connect.NewPythonServiceClient(g.client, g.url)
	b.ReportAllocs()
	for b.Loop() {
		stream, err := python.Run(b.Context(), &sandgatev1.RunRequest{SessionId: id, Code: "1+1"})
		if err != nil {
			b.Fatal(err)
		}
		for stream.Receive() {
		}
		if err := stream.Err(); err != nil {
			b.Fatal(err)
		}
		if err := stream.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCallTool is the same by way of CallTool.
func BenchmarkCallTool(b *testing.B) {
	g := newRig(b, nil)
	req := &sandgatev1.CallToolRequest{SessionId: g.session(b), Name: "python_run", Arguments: arguments(b, `{"code":"1+1"}`)}
	tools := g.tools()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tools.CallTool(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDispatch is a call of a tool without the wire.
func BenchmarkDispatch(b *testing.B) {
	g := newRig(b, nil)
	t := &tools{registry: g.server.opts.Registry}
	req := &sandgatev1.CallToolRequest{SessionId: g.session(b), Name: "python_run", Arguments: arguments(b, `{"code":"1+1"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := t.call(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnmarshal decodes a small message with and without its values being counted: what is
// allocated is the same.
func BenchmarkUnmarshal(b *testing.B) {
	const text = `{"sessionId":"ses_abcdefghij","code":"print(1+1)"}`
	message := &sandgatev1.RunRequest{SessionId: "ses_abcdefghij", Code: "print(1+1)"}
	wire, err := proto.Marshal(message)
	if err != nil {
		b.Fatal(err)
	}
	turns, data := newTurns(), []byte(text)
	for name, decode := range map[string]func() error{
		"proto":           func() error { return protoCodec{turns}.Unmarshal(wire, message) },
		"proto, no count": func() error { return proto.Unmarshal(wire, message) },
		"json":            func() error { return jsonCodec{"json", turns}.Unmarshal(data, message) },
		"json, no count":  func() error { return protojson.Unmarshal(data, message) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
