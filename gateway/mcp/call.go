package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"connectrpc.com/connect"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// call makes one call of a tool. What a model can mend is a result that says so; an error is only what
// the client itself did wrong.
func (f *Facade) call(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
	arguments, err := argumentsOf(req.Params)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer f.visits.follow(req.Extra, cancel)()
	s := sessionFrom(ctx)
	if s == nil {
		return f.callNamed(ctx, req, arguments)
	}
	leave, err := s.enter(cancel)
	if err != nil {
		return f.failed(err, ""), nil
	}
	defer leave()
	id, err := s.place.enter(ctx)
	if err != nil {
		return f.unable(ctx, req, err, "")
	}
	res, err := f.run(ctx, req, id, arguments)
	if err == nil {
		return resultOf(res), nil
	}
	if !isLost(err) {
		return f.unable(ctx, req, err, "")
	}
	s.place.lost(context.WithoutCancel(ctx), id)
	if s.place.given {
		return f.unable(ctx, req, err, "The session that this connection was given is gone, and with it all its state. Tell the user.")
	}
	return f.unable(ctx, req, err, "The session was lost, and with it its state: variables, files and programs are gone. "+
		"This call was not made. The next one begins a new session.")
}

// argumentsOf returns the arguments of a call.
func argumentsOf(params *sdk.CallToolParamsRaw) (*structpb.Struct, error) {
	out := &structpb.Struct{}
	if !utf8.ValidString(params.Name) {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "the name of the tool is not UTF-8"}
	}
	if raw := bytes.TrimSpace(params.Arguments); len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
		if err := out.UnmarshalJSON(raw); err != nil {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "the arguments must be a JSON object"}
		}
	}
	return out, nil
}

// run makes the call, once, and tells of its progress whoever asked to be told.
func (f *Facade) run(ctx context.Context, req *sdk.CallToolRequest, id string, arguments *structpb.Struct) (*sandgatev1.CallToolResponse, error) {
	told := newProgress(ctx, req)
	defer told.close()
	stream, err := f.opts.Tools.StreamTool(onBehalf(ctx, req.Extra), &sandgatev1.StreamToolRequest{
		Call: &sandgatev1.CallToolRequest{SessionId: id, Name: req.Params.Name, Arguments: arguments},
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }() // it has said what there was to say
	var res *sandgatev1.CallToolResponse
	for stream.Receive() {
		switch event := stream.Msg().GetEvent().(type) {
		case *sandgatev1.StreamToolResponse_Progress:
			told.event(event.Progress)
		case *sandgatev1.StreamToolResponse_Result:
			res = event.Result
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	if res == nil {
		return nil, errors.New("the call ended without a result")
	}
	return res, nil
}

// unable says that a call was not made, or not to its end. hint replaces the one of the API.
func (f *Facade) unable(ctx context.Context, req *sdk.CallToolRequest, err error, hint string) (*sdk.CallToolResult, error) {
	reason, _ := detailOf(err)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx) // nobody reads it
	case reason == gateway.ReasonToolNotFound:
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("unknown tool %q", req.Params.Name)}
	case connect.CodeOf(err) == connect.CodeCanceled:
		// We did not cancel: the gateway ended.
		return f.failed(errors.New("the gateway was stopped while this ran"), hint), nil
	}
	return f.failed(err, hint), nil
}

// isLost tells whether an error says that a session is no more.
func isLost(err error) bool {
	reason, _ := detailOf(err)
	return reason == gateway.ReasonSessionNotFound || reason == gateway.ReasonSessionLost
}
