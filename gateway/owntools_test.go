package gateway

import (
	"context"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// ownSet are tools that do as they are called.
type ownSet struct{}

func (ownSet) Tools() []*sandgatev1.Tool {
	var all []*sandgatev1.Tool
	for _, name := range []string{"a_mine", "file_read", "nothing", "panics", "zebra"} {
		all = append(all, &sandgatev1.Tool{Name: name, Description: name + " of the operator's", Scopes: []string{"tools"}})
	}
	return all
}

func (s ownSet) Tool(name string) *sandgatev1.Tool {
	for _, tool := range s.Tools() {
		if tool.GetName() == name {
			return tool
		}
	}
	return nil
}

func (ownSet) Call(_ context.Context, req *sandgatev1.CallToolRequest) (*sandgatev1.CallToolResponse, error) {
	switch req.GetName() {
	case "panics":
		panic("it panics")
	case "nothing":
		return nil, nil //nolint:nilnil // which is what it is about
	}
	return &sandgatev1.CallToolResponse{
		Content: []*sandgatev1.Content{{Part: &sandgatev1.Content_Text{Text: "called " + req.GetName()}}},
		Result:  &structpb.Struct{}, Status: sandgatev1.Status_STATUS_ERROR,
	}, nil
}

// TestOwnTools stand beside those of the API, never in their place, and cannot take the gateway along.
func TestOwnTools(t *testing.T) {
	g := newRig(t, func(opts *Options) { RegisterOwnTools(opts.Registry, ownSet{}) })
	list, err := g.tools().ListTools(t.Context(), &sandgatev1.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.GetTools() {
		names = append(names, tool.GetName())
		if tool.GetName() == "file_read" && strings.Contains(tool.GetDescription(), "operator") {
			t.Error("a tool of the API was replaced")
		}
	}
	if got := strings.Join(names, " "); got != "a_mine file_read nothing panics python_run zebra" {
		t.Errorf("tools: %s", got)
	}
	call := func(name string) (*sandgatev1.CallToolResponse, error) {
		return g.tools().CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: "none", Name: name})
	}
	res, err := call("a_mine")
	if err != nil || res.GetStatus() != sandgatev1.Status_STATUS_ERROR || res.GetContent()[0].GetText() != "called a_mine" {
		t.Errorf("%v, %v", res, err)
	}
	for name, want := range map[string]connect.Code{
		"panics": connect.CodeInternal, "nothing": connect.CodeInternal, "file_read": connect.CodeInvalidArgument, "b_mine": connect.CodeNotFound,
	} {
		if res, err := call(name); connect.CodeOf(err) != want {
			t.Errorf("%s: %v, %v, want %s", name, res, err, want)
		}
	}
	if _, err := call("b_mine"); !strings.Contains(failureOf(err).GetHint(), "a_mine, file_read, nothing") {
		t.Errorf("the tools that there are: %v", failureOf(err))
	}
	if log := g.log.String(); !strings.Contains(log, `"tool":"a_mine","status":"STATUS_ERROR"`) {
		t.Errorf("the log says %s", log)
	}
}
