package gateway

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// attack is arguments of so many values that they cost a gateway without bounds seconds.
func attack(values int) *structpb.Struct {
	zeros := &structpb.ListValue{Values: make([]*structpb.Value, values)}
	zero := structpb.NewNumberValue(0)
	for i := range zeros.Values {
		zeros.Values[i] = zero
	}
	return &structpb.Struct{Fields: map[string]*structpb.Value{"code": structpb.NewListValue(zeros)}}
}

func attackJSON() string {
	return `{"name":"python_run","arguments":{"code":[` + strings.Repeat("0,", 2_000_000) + `0]}}`
}

func TestTooManyValues(t *testing.T) {
	g := newRig(t, func(o *Options) {
		Unary(o.Registry, sandgatev1connect.FileServiceWriteProcedure, func(_ context.Context, req *sandgatev1.WriteRequest) (*sandgatev1.WriteResponse, error) {
			return &sandgatev1.WriteResponse{File: &sandgatev1.FileInfo{Size: int64(len(req.GetText()))}}, nil
		})
	})
	id := g.session(t)
	call := &sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: attack(60_000)}
	text := strings.Repeat("[,\"\\é:{", 4<<20/9)
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			tools := g.tools(options...)
			_, err := tools.CallTool(t.Context(), call)
			refusedValues(t, err)
			stream, err := tools.StreamTool(t.Context(), &sandgatev1.StreamToolRequest{Call: call})
			if err == nil {
				stream.Receive()
				err = errors.Join(stream.Err(), stream.Close())
			}
			refusedValues(t, err)
			files := sandgatev1connect.NewFileServiceClient(g.client, g.url, options...)
			res, err := files.Write(t.Context(), &sandgatev1.WriteRequest{SessionId: id, Path: "f", Content: &sandgatev1.WriteRequest_Text{Text: text}})
			if err != nil || res.GetFile().GetSize() != int64(len(text)) {
				t.Errorf("a text of %d bytes: %v, %v", len(text), res, err)
			}
			args := &structpb.Struct{Fields: map[string]*structpb.Value{"code": structpb.NewStringValue(text)}}
			if _, err := tools.CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: args}); err != nil {
				t.Errorf("code of %d bytes: %v", len(text), err)
			}
		})
	}
	t.Run("a client's stream", func(t *testing.T) {
		// Its messages have few fields, so that the values are fields that it does not have.
		unknown := slices.Repeat([]byte{0xb8, 0x3e, 1}, maxValues+1) // number 999
		req := &sandgatev1.UploadRequest{}
		req.ProtoReflect().SetUnknown(unknown)
		upload, err := sandgatev1connect.NewFileServiceClient(g.client, g.url).Upload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = upload.Send(req) // the reply says why
		_, err = upload.CloseAndReceive()
		refusedValues(t, err)
	})
}

func refusedValues(t *testing.T, err error) {
	t.Helper()
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "more than 50000 values; send large data as a file") {
		t.Errorf("got %.200v", err)
	}
}

// The whole attack is refused for less than a thousandth of the memory that it was made for.
func TestAttackOfValuesCostsNothing(t *testing.T) {
	body := []byte(attackJSON())
	wire, err := proto.Marshal(&sandgatev1.CallToolRequest{Name: "python_run", Arguments: attack(500_000)})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		codec connect.Codec
		data  []byte
	}{"json": {jsonCodec{"json", newTurns()}, body}, "proto": {protoCodec{newTurns()}, wire}} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := test.codec.Unmarshal(test.data, &sandgatev1.CallToolRequest{})
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "more than 50000 values") {
			t.Errorf("%s: %v", name, err)
		}
		if cost := after.TotalAlloc - before.TotalAlloc; cost > 64<<10 {
			t.Errorf("%s: %d bytes for %d bytes of values", name, cost, len(test.data))
		}
	}
}

func TestLargeMessagesTakeTurns(t *testing.T) {
	for name, test := range map[string]struct {
		size, values int
		waits        bool
	}{
		"small":       {largeMessage, manyValues, false},
		"long":        {largeMessage + 1, 1, true},
		"many values": {10, manyValues + 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns := newTurns()
				turns <- struct{}{} // another one is being decoded
				decoded := false
				go func() {
					_ = turns.decode(test.size, func() (int, error) { return test.values, nil }, func() error {
						decoded = true
						return nil
					})
				}()
				synctest.Wait()
				if decoded == test.waits {
					t.Errorf("decoded: %v", decoded)
				}
				<-turns
				synctest.Wait()
				if !decoded || len(turns) != 0 {
					t.Errorf("decoded: %v, %d turns taken", decoded, len(turns))
				}
			})
		})
	}
}

func TestTurnsAreGivenBack(t *testing.T) {
	turns := newTurns()
	fails := func() error { return errBoom }
	_ = turns.decode(largeMessage+1, func() (int, error) { return 0, errBoom }, fails)
	_ = turns.decode(largeMessage+1, func() (int, error) { return manyValues + 1, nil }, fails)
	func() {
		defer func() { _ = recover() }()
		_ = turns.decode(largeMessage+1, func() (int, error) { return 1, nil }, func() error { panic("decode") })
	}()
	if len(turns) != 0 {
		t.Error("one was kept")
	}
}
