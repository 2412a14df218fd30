package mcp

import (
	"cmp"
	"errors"
	"strings"

	"connectrpc.com/connect"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// resultOf returns what a tool produced, as the protocol has it. Work that did not succeed is an error
// for the model to read.
func resultOf(res *sandgatev1.CallToolResponse) *sdk.CallToolResult {
	out := &sdk.CallToolResult{
		Content:           make([]sdk.Content, 0, len(res.GetContent())+1),
		StructuredContent: res.GetResult().AsMap(),
	}
	for _, part := range res.GetContent() {
		switch part := part.GetPart().(type) {
		case *sandgatev1.Content_Text:
			out.Content = append(out.Content, &sdk.TextContent{Text: part.Text})
		case *sandgatev1.Content_Image:
			out.Content = append(out.Content, &sdk.ImageContent{Data: part.Image.GetData(), MIMEType: part.Image.GetMimeType()})
		}
	}
	if status := res.GetStatus(); status != sandgatev1.Status_STATUS_OK {
		out.IsError = true
		word := strings.ToLower(strings.TrimPrefix(status.String(), "STATUS_"))
		out.Content = append(out.Content, &sdk.TextContent{Text: "[status: " + word + "]"})
	}
	return out
}

// failed returns the result of a call that could not be made. hint replaces the error's own.
func (f *Facade) failed(err error, hint string) *sdk.CallToolResult {
	text := f.problem(err)
	if hint != "" {
		text = message(err) + "\n" + hint
	}
	return &sdk.CallToolResult{IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: text}}}
}

// problem says what an error is, why, and what to do.
func (f *Facade) problem(err error) string {
	_, hint := detailOf(err)
	if f.opts.Hint != nil {
		hint = cmp.Or(f.opts.Hint(err), hint)
	}
	if hint == "" {
		return message(err)
	}
	return message(err) + "\n" + hint
}

// message says what an error is, with its reason or its code.
func message(err error) string {
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return err.Error()
	}
	reason, _ := detailOf(err)
	if reason == "" {
		reason = wire.Code().String()
	}
	return wire.Message() + " (" + reason + ")"
}
