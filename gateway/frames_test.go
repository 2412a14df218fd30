package gateway

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// zipped compresses, again and again.
func zipped(data []byte, times int) []byte {
	for range times {
		var out bytes.Buffer
		writer := gzip.NewWriter(&out)
		_, _ = writer.Write(data)
		_ = writer.Close()
		data = out.Bytes()
	}
	return data
}

// said is an envelope that says it holds so many bytes.
func said(flags byte, length uint32, message string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, length), message...)
}

// TestFramesThatLie sends streams and envelopes that are not what they say. Each gets an error that
// belongs to the caller, for next to no memory, and the gateway serves on.
func TestFramesThatLie(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	run := `{"sessionId":"` + id + `","code":"1"}`
	upload := `{"header":{"sessionId":"` + id + `","path":"p"}}`
	const python, files = sandgatev1connect.PythonServiceRunProcedure, sandgatev1connect.FileServiceUploadProcedure
	// Connect calls a stream that stops in the middle of a message internal, as gRPC does.
	const wrong, large, well, lacks = connect.CodeInvalidArgument, connect.CodeResourceExhausted, connect.Code(0), connect.CodeUnimplemented
	for name, test := range map[string]struct {
		path string
		body []byte
		want []connect.Code // any of them
	}{
		"well":                    {python, envelope(0, []byte(run)), []connect.Code{well}},
		"nothing":                 {python, nil, []connect.Code{wrong, lacks}},
		"half an envelope":        {python, []byte{0, 0, 0}, []connect.Code{wrong, connect.CodeInternal}},
		"half a message":          {python, said(0, 1000, run), []connect.Code{wrong, connect.CodeInternal}},
		"2^32-1 bytes":            {python, said(0, 1<<32-1, run), []connect.Code{large, wrong}},
		"2^31 bytes":              {python, said(0, 1<<31, run), []connect.Code{large, wrong}},
		"an empty message":        {python, envelope(0, nil), []connect.Code{wrong}},
		"two messages":            {python, slices.Concat(envelope(0, []byte(run)), envelope(0, []byte(run))), []connect.Code{lacks, wrong}},
		"unknown flags":           {python, envelope(0x7c, []byte(run)), []connect.Code{wrong, connect.CodeInternal, well}},
		"compressed without gzip": {python, envelope(1, []byte(run)), []connect.Code{wrong, connect.CodeInternal}},
		"20,000 empty messages":   {files, bytes.Repeat(envelope(0, []byte("{}")), 20_000), []connect.Code{well, wrong}},
		"100,000 of length zero":  {files, bytes.Repeat(envelope(0, nil), 100_000), []connect.Code{well, wrong}},
		"half, then the end":      {files, append(envelope(0, []byte(upload)), 0, 0, 0), []connect.Code{wrong, connect.CodeInternal}},
	} {
		for _, kind := range []string{"application/connect+json", "application/grpc+json", "application/grpc-web+json"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				got := g.post(t, test.path, kind, test.body)
				if !slices.Contains(test.want, got.code) {
					t.Errorf("%v, want one of %v", got, test.want)
				}
			})
		}
	}
	g.serves(t)
}

// TestLyingLengthsCostNothing: memory is made for what has come, and not for what was announced.
func TestLyingLengthsCostNothing(t *testing.T) {
	g := newRig(t, nil)
	g.serves(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 50 {
		g.post(t, sandgatev1connect.PythonServiceRunProcedure, "application/grpc", said(0, MaxMessageBytes-1, "x"))
	}
	runtime.ReadMemStats(&after)
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 50*MaxMessageBytes/8 {
		t.Errorf("%d bytes were made for 50 messages of six", cost)
	}
}

// TestEncodings sends what is compressed in every way in which it may be wrong.
func TestEncodings(t *testing.T) {
	g := newRig(t, nil)
	const list, empty = sandgatev1connect.ToolServiceListToolsProcedure, "{}"
	good := zipped([]byte(empty), 1)
	const wrong, well, lacks = connect.CodeInvalidArgument, connect.Code(0), connect.CodeUnimplemented
	for name, test := range map[string]struct {
		encoding string
		message  []byte
		want     []connect.Code
	}{
		"gzip":                   {"gzip", good, []connect.Code{well}},
		"identity":               {"identity", []byte(empty), []connect.Code{well}},
		"unknown":                {"br", []byte(empty), []connect.Code{lacks}},
		"two":                    {"gzip, gzip", good, []connect.Code{lacks}},
		"upper case":             {"GZIP", good, []connect.Code{well, lacks}},
		"a long name":            {strings.Repeat("x", 10_000), good, []connect.Code{lacks}},
		"nested":                 {"gzip", zipped([]byte(empty), 2), []connect.Code{wrong}},
		"deeply nested":          {"gzip", zipped([]byte(empty), 50), []connect.Code{wrong}},
		"of nothing":             {"gzip", zipped(nil, 1), []connect.Code{wrong}},
		"no gzip at all":         {"gzip", []byte(empty), []connect.Code{wrong}},
		"only a header":          {"gzip", good[:10], []connect.Code{wrong}},
		"cut off":                {"gzip", good[:len(good)-4], []connect.Code{wrong}},
		"a wrong checksum":       {"gzip", append(slices.Clone(good[:len(good)-8]), 1, 2, 3, 4, 2, 0, 0, 0), []connect.Code{wrong}},
		"something behind it":    {"gzip", append(slices.Clone(good), "garbage"...), []connect.Code{wrong}},
		"1,000 members":          {"gzip", append(bytes.Repeat(zipped(nil, 1), 1_000), good...), []connect.Code{well}},
		"a header without end":   {"gzip", append([]byte{0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 0xff}, bytes.Repeat([]byte("x"), 100_000)...), []connect.Code{wrong}},
		"a bomb within a bomb":   {"gzip", zipped(make([]byte, 32<<20), 2), []connect.Code{wrong}},
		"a bomb of many members": {"gzip", bytes.Repeat(zipped(make([]byte, 1<<20), 1), 40), []connect.Code{connect.CodeResourceExhausted}},
	} {
		for kind, header := range map[string]string{
			"application/json": "Content-Encoding", "application/grpc+json": "Grpc-Encoding", "application/grpc-web+json": "Grpc-Encoding",
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				body := test.message
				if kind != "application/json" {
					flags := byte(1)
					if test.encoding == "identity" {
						flags = 0
					}
					body = envelope(flags, body)
				}
				got := g.post(t, list, kind, body, header, test.encoding)
				if !slices.Contains(test.want, got.code) {
					t.Errorf("%.300s, want one of %v", fmt.Sprint(got), test.want)
				}
			})
		}
	}
	if held := g.server.held.used.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	g.serves(t)
}
