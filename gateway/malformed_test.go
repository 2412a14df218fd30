package gateway

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// notJSON returns texts that are no JSON, or no JSON that a decoder may agree on with others.
func notJSON() []string {
	return []string{
		// Structure.
		"", " ", "{", "}", "[", "]", "{}}", "{}{}", "{} {}", "{},", ",{}", "{,}", "[]", "[{}]", `{"a"}`, `{"a":}`, `{:1}`, `{"a":1,}`, `{"a",1}`,
		`{"a":1 "b":2}`, `{"a":1;"b":2}`, `{a:1}`, `{'a':1}`, `{"a":1}}`, `{"name":["x"}`, `{"name":"x"]`, "{\"name\":\"x\"\x00}", "{}\x00", "\x00{}", "{}#", "{}//x", "/**/{}",
		// Literals and numbers.
		"null", "true", "1", `"x"`, "nul", "NULL", `{"timeout":nan}`, `{"timeout":NaN}`, `{"name":Infinity}`, `{"name":01}`, `{"name":-}`, `{"name":1.}`, `{"name":.1}`,
		`{"name":1e}`, `{"name":1e+}`, `{"name":0x1}`, `{"name":+1}`, `{"name":1_0}`, `{"name":--1}`, `{"name":truefalse}`,
		// Strings.
		`{"name":"}`, `{"name":"\"}`, `{"name":"\x41"}`, `{"name":"\u12"}`, `{"name":"\u12G4"}`, "{\"name\":\"\n\"}", "{\"name\":\"\x01\"}", "{\"name\":\"\x7f\xff\"}", "{\"name\":\"\xc3\x28\"}",
		"{\"name\":\"\xed\xa0\x80\"}", "{\"name\":\"\xf4\x90\x80\x80\"}", "{\"name\":\"\xc0\xaf\"}", `{"name":"\ud800"}`, `{"name":"\udc00\ud800"}`, `{"name":"\u"}`, `{"name\u0000":1}`,
		// Marks, other encodings, what is said twice, and the wrong types.
		"\ufeff{}", "\xff\xfe{\x00}\x00", "{\u2028}", "{\u00a0}", "{\v}", `{"name":"a","name":"b"}`, `{"sessionId":"a","session_id":"b"}`, `{"NAME":"a"}`, `{"unknown":1}`,
		`{"name":{}}`, `{"name":[]}`, `{"name":1}`, `{"arguments":[]}`, `{"arguments":"x"}`, `{"@type":"x"}`, `{"__proto__":{}}`,
		// Size and depth.
		strings.Repeat("[", 100_000), strings.Repeat(`{"arguments":`, 50_000), strings.Repeat("]", 100_000), `{"arguments":{"a":` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + "}}",
		`{"name":` + strings.Repeat("1", 1<<20) + "}", `{"timeout":"` + strings.Repeat("9", 1<<16) + `s"}`, `{"arguments":{"a":1e400}}`,
	}
}

// TestMalformedJSON: every such text is the caller's fault, told in a short reply, in each protocol.
func TestMalformedJSON(t *testing.T) {
	g := newRig(t, nil)
	const call = sandgatev1connect.ToolServiceCallToolProcedure
	for _, text := range notJSON() {
		for _, kind := range []string{"application/json", "application/grpc+json"} {
			body := []byte(text)
			if kind != "application/json" {
				body = envelope(0, body)
			}
			got := g.post(t, call, kind, body)
			if got.code != connect.CodeInvalidArgument || len(got.body) > 2*maxText {
				t.Errorf("%.60q as %s: %.300v", text, kind, got)
			}
			if kind == "application/json" && got.status != http.StatusBadRequest {
				t.Errorf("%.60q: %d", text, got.status)
			}
		}
	}
	if strings.Contains(g.log.String(), `"level":"ERROR"`) {
		t.Errorf("an error of callers is one of the gateway's in the log:\n%.2000s", g.log)
	}
	g.serves(t)
}

// wrapped wraps a message into a field of itself, so often.
func wrapped(number protowire.Number, times int, inner []byte) []byte {
	for range times {
		inner = protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), inner)
	}
	return inner
}

// TestMalformedProto: binary messages that are none, that say things twice, or that blow up.
func TestMalformedProto(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	tag := protowire.AppendTag
	name := protowire.AppendString(tag(nil, 2, protowire.BytesType), "python_run")
	const wrong = connect.CodeInvalidArgument
	// What these become is for the handler to say: there is no session, or no such tool.
	handled := []connect.Code{wrong, connect.CodeNotFound, connect.CodePermissionDenied}
	for what, test := range map[string]struct {
		message []byte
		want    []connect.Code
	}{
		"half a tag":              {[]byte{0x80}, []connect.Code{wrong}},
		"a varint of 11 bytes":    {append([]byte{0x08}, bytes.Repeat([]byte{0x80}, 11)...), []connect.Code{wrong}},
		"a varint without end":    {append([]byte{0xb8, 0x3e}, bytes.Repeat([]byte{0xff}, 1<<20)...), []connect.Code{wrong}},
		"field number 0":          {[]byte{0x02, 0x00}, []connect.Code{wrong}},
		"field number 2^29":       {protowire.AppendVarint(nil, 1<<32), []connect.Code{wrong}},
		"wire type 6":             {[]byte{0x0e}, []connect.Code{wrong}},
		"wire type 7":             {[]byte{0x0f}, []connect.Code{wrong}},
		"a length of 2^63":        {append([]byte{0x0a}, protowire.AppendVarint(nil, 1<<63)...), []connect.Code{wrong}},
		"a length beyond the end": {[]byte{0x12, 0x7f, 'x'}, []connect.Code{wrong}},
		"the wrong wire type":     {append(tag(nil, 2, protowire.VarintType), 1), handled},
		"the end of a group":      {tag(nil, 9, protowire.EndGroupType), []connect.Code{wrong}},
		"a group without end":     {tag(nil, 9, protowire.StartGroupType), []connect.Code{wrong}},
		"groups in groups":        {bytes.Repeat(tag(nil, 9, protowire.StartGroupType), 1<<20), []connect.Code{wrong}},
		"groups that end":         {slices.Concat(bytes.Repeat(tag(nil, 9, protowire.StartGroupType), 9_000), bytes.Repeat(tag(nil, 9, protowire.EndGroupType), 9_000)), handled},
		"invalid UTF-8":           {protowire.AppendString(tag(nil, 2, protowire.BytesType), "\xff\xfe"), []connect.Code{wrong}},
		"a surrogate":             {protowire.AppendString(tag(nil, 2, protowire.BytesType), "\xed\xa0\x80"), []connect.Code{wrong}},
		"10^6 unknown fields":     {bytes.Repeat([]byte{0xb8, 0x3e, 1}, 1_000_000), []connect.Code{wrong}},
		"one field 10^6 times":    {bytes.Repeat([]byte{0x12, 0}, 1_000_000), []connect.Code{wrong}},
		"one field often":         {append(bytes.Repeat([]byte{0x12, 1, 'x'}, 1_000), name...), handled},
		"a map bomb":              {wrapped(3, 1, bytes.Repeat(wrapped(1, 1, nil), 200_000)), []connect.Code{wrong}},
		"deep lists":              {wrapped(3, 1, wrapped(1, 1, wrapped(2, 1, wrapped(6, 1, wrapped(1, 10_000, nil))))), []connect.Code{wrong}},
		"deep structs":            {wrapped(3, 1, wrapped(1, 1, wrapped(2, 1, wrapped(5, 1, wrapped(1, 1, wrapped(2, 10_000, nil)))))), []connect.Code{wrong}},
	} {
		for _, kind := range []string{"application/proto", "application/grpc", "application/grpc-web"} {
			t.Run(what+" "+kind, func(t *testing.T) {
				body := test.message
				if kind != "application/proto" {
					body = envelope(0, body)
				}
				got := g.post(t, sandgatev1connect.ToolServiceCallToolProcedure, kind, body)
				if !slices.Contains(test.want, got.code) || len(got.body) > 2*maxText {
					t.Errorf("%.300v, want one of %v", got, test.want)
				}
			})
		}
	}
	g.serves(t)
	if strings.Contains(g.log.String(), `"level":"ERROR"`) || strings.Contains(g.log.String(), id) {
		t.Errorf("the log:\n%.2000s", g.log)
	}
}
