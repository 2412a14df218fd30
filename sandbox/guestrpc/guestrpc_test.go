package guestrpc_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

const (
	maxMessageBytes = 256 << 10 // more than any error of the tests
	tooLarge        = "Ask for less."
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is one client for all sandboxes.
func client() sandgatev1connect.FileServiceClient {
	return sandgatev1connect.NewFileServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(maxMessageBytes)...)
}

// stat makes a call to the guest of the session "s".
func stat(ctx context.Context, b *sandboxtest.Box) (*sandgatev1.StatResponse, error) {
	return guestrpc.Unary(ctx, b, &sandgatev1.StatRequest{SessionId: "s", Path: "f"}, client().Stat, tooLarge)
}

func TestRequestsNeedASandbox(t *testing.T) {
	_, err := client().Stat(t.Context(), &sandgatev1.StatRequest{})
	if err == nil || !strings.Contains(err.Error(), "the request belongs to no sandbox") {
		t.Errorf("error %v", err)
	}
}

func TestForGuest(t *testing.T) {
	req := &sandgatev1.WriteRequest{SessionId: "s", Path: "f", Content: &sandgatev1.WriteRequest_Data{Data: []byte("abc")}}
	got := guestrpc.ForGuest(req)
	if got.GetSessionId() != "" || got.GetPath() != "f" || &got.GetData()[0] != &req.GetData()[0] || req.GetSessionId() != "s" {
		t.Errorf("from %v came %v", req, got)
	}
}

func TestMessagesAreTakenApartWithCare(t *testing.T) {
	field := func(number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	}
	text := field(3, []byte("text"))
	lists := func(levels int) []byte { // in one another, each being a value that is a list of one value
		value := text
		for range levels {
			value = field(6, field(1, value))
		}
		return value
	}
	value := connect.NewClient[structpb.Value, structpb.Value](
		guestrpc.HTTPClient{}, sandbox.GuestURL+"/value", guestrpc.Options(maxMessageBytes)...)
	for _, test := range []struct {
		name string
		body []byte
		ok   bool
	}{
		{"honest", text, true},
		{"unknown field", append(field(99, []byte("hidden")), text...), true},
		{"not UTF-8", field(3, []byte{0xff}), false},
		{"cut off", text[:len(text)-1], false},
		{"deep", lists(400), true},
		{"too deep", lists(600), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := sandboxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/proto")
				_, _ = w.Write(test.body)
			}))
			res, err := value.CallUnary(guestrpc.WithSandbox(t.Context(), b), connect.NewRequest(&structpb.Value{}))
			if (err == nil) != test.ok {
				t.Fatalf("error %v", err)
			}
			if test.ok && (res.Msg.GetKind() == nil || len(res.Msg.ProtoReflect().GetUnknown()) != 0) {
				t.Errorf("reply %v", res.Msg)
			}
		})
	}
}

func TestClip(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abc", 2, "ab"},
		{"aé", 2, "a"},
		{"é", 0, ""},
		{"a\xffb", 3, "a"},
		{"a\xffb", 5, "a\uFFFDb"},
		{"\x80\x80", 1, ""},
	} {
		if got := guestrpc.Clip(test.text, test.limit); got != test.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}
