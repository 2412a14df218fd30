package gateway

import (
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

func arguments(tb testing.TB, text string) *structpb.Struct {
	tb.Helper()
	out := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(text), out); err != nil {
		tb.Fatal(err)
	}
	return out
}

func (g *rig) tools(options ...connect.ClientOption) sandgatev1connect.ToolServiceClient {
	return sandgatev1connect.NewToolServiceClient(g.client, g.url, options...)
}

func TestListTools(t *testing.T) {
	g := newRig(t, nil)
	res, err := g.tools(connect.WithHTTPGet()).ListTools(t.Context(), &sandgatev1.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range res.GetTools() {
		names = append(names, tool.GetName())
		if tool.GetDescription() == "" || tool.GetInputSchema() == nil || tool.GetOutputSchema() == nil || len(tool.GetScopes()) == 0 {
			t.Errorf("%s is incomplete", tool.GetName())
		}
	}
	// Only what is served is listed.
	if got := strings.Join(names, " "); got != "file_read python_run" {
		t.Errorf("tools: %s", got)
	}
}

func TestCallTool(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	for name, test := range map[string]struct {
		tool, arguments string
		status          sandgatev1.Status
		result          map[string]any // some fields of the result
		content         string         // a part of it
	}{
		"stream": {
			"python_run", `{"code":"hi","timeout":"60s","max_output_bytes":1024,"env":{"A":"b"}}`, sandgatev1.Status_STATUS_OK,
			map[string]any{"execution_count": "1", "exit_code": 0.0, "state_lost": false},
			`"execution_count":`,
		},
		"ran and failed": {"python_run", `{"code":"fails"}`, sandgatev1.Status_STATUS_ERROR, nil, "ValueError"},
		"unary":          {"file_read", `{"path":"f","length":3}`, sandgatev1.Status_STATUS_OK, map[string]any{"text": "xxx", "total_size": "7"}, `"text":"xxx"`},
		"JSON names":     {"python_run", `{"code":"hi","maxOutputBytes":"1024"}`, sandgatev1.Status_STATUS_OK, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := g.tools().CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: id, Name: test.tool, Arguments: arguments(t, test.arguments)})
			if err != nil {
				t.Fatal(err)
			}
			if res.GetStatus() != test.status || res.GetReceipt().GetWall() == nil {
				t.Errorf("status %s, receipt %v", res.GetStatus(), res.GetReceipt())
			}
			for key, want := range test.result {
				if got := res.GetResult().AsMap()[key]; got != want {
					t.Errorf("result.%s is %v, want %v", key, got, want)
				}
			}
			if text := res.GetContent()[0].GetText(); !strings.Contains(strings.ReplaceAll(text, " ", ""), test.content) {
				t.Errorf("content %q", text)
			}
		})
	}
}

func TestReceiptIsTheToolsOwn(t *testing.T) {
	g := newRig(t, nil)
	res, err := g.tools().CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: g.session(t), Name: "python_run", Arguments: arguments(t, `{"code":"hello"}`)})
	if err != nil || res.GetReceipt().GetBytesIn() != 5 || res.GetReceipt().GetWall().GetNanos() != 5 {
		t.Errorf("%v, %v", res.GetReceipt(), err)
	}
}

func TestCallToolRefuses(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	for name, test := range map[string]struct {
		req    *sandgatev1.CallToolRequest
		code   connect.Code
		reason string
		text   string
	}{
		"no such tool":  {&sandgatev1.CallToolRequest{SessionId: id, Name: "nope"}, connect.CodeNotFound, ReasonToolNotFound, `"nope"`},
		"not served":    {&sandgatev1.CallToolRequest{SessionId: id, Name: "shell_run"}, connect.CodeNotFound, ReasonToolNotFound, "shell_run"},
		"no session":    {&sandgatev1.CallToolRequest{Name: "python_run", Arguments: arguments(t, `{"code":"1"}`)}, connect.CodeInvalidArgument, ReasonInvalidArgument, "session_id"},
		"other session": {&sandgatev1.CallToolRequest{SessionId: "ses_x", Name: "python_run", Arguments: arguments(t, `{"code":"1"}`)}, connect.CodeNotFound, ReasonSessionNotFound, ""},
		"unknown name": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"cod":"1"}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `unknown argument "cod"`,
		},
		"session among the arguments": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"sessionId":"ses_y"}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `"sessionId" is a field of the call`,
		},
		"wrong type": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":{"a":1}}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, "code",
		},
		"fraction": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"max_output_bytes":1.5}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, "max_output_bytes",
		},
		"length of time that is a number": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"1","timeout":1}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `arguments: timeout: must be a number of seconds and an s, such as "60s" (unexpected token 1)`,
		},
		"length of time in minutes": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"timeout":"1m"}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `arguments: timeout: must be a number of seconds and an s, such as "60s" (invalid google.protobuf.Duration value "1m")`,
		},
		"list for an object": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"env":[]}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `arguments: env: must be an object, each value a text (unexpected token [)`,
		},
		"number among texts": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"env":{"A":1},"code":"1"}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `arguments: env: must be an object, each value a text (`,
		},
		"object for a text": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":{"a":1}}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `arguments: code: must be a text (`,
		},
		"two names of one": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"max_output_bytes":1,"maxOutputBytes":2}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `duplicate field`,
		},
		"rule": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"timeout":"-1s"}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, "timeout",
		},
		"a NUL byte": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"1","env":{"A":"b\u0000c"}}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, `env["A"]: must not contain "\x00"`,
		},
		"a name that no variable has": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"1","env":{"A=B":"c"}}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, "env",
		},
		"two of one": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "file_read", Arguments: arguments(t, `{"path":"a","offset":-1}`)},
			connect.CodeInvalidArgument, ReasonInvalidArgument, "offset",
		},
		"no result": {
			&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"no result"}`)},
			connect.CodeInternal, ReasonInternal, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := g.tools().CallTool(t.Context(), test.req)
			wantError(t, err, test.code, test.reason)
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v does not say %q", err, test.text)
			}
			if strings.Contains(err.Error(), "proto:") || strings.Contains(err.Error(), "line 1") {
				t.Errorf("%v speaks of what the caller has not written", err)
			}
		})
	}
}

func TestStreamTool(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			stream, err := g.tools(options...).StreamTool(t.Context(), &sandgatev1.StreamToolRequest{
				Call: &sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"hi"}`)},
			})
			if err != nil {
				t.Fatal(err)
			}
			var events []string
			for stream.Receive() {
				switch event := stream.Msg().GetEvent().(type) {
				case *sandgatev1.StreamToolResponse_Progress:
					data := event.Progress.GetFields()["stdout"].GetStructValue().GetFields()["data"]
					events = append(events, data.GetStringValue())
				case *sandgatev1.StreamToolResponse_Result:
					events = append(events, event.Result.GetStatus().String())
				}
			}
			if err := stream.Close(); stream.Err() != nil || err != nil {
				t.Error(stream.Err(), err)
			}
			if got := strings.Join(events, " "); got != "aGk= STATUS_OK" {
				t.Errorf("events: %s", got)
			}
		})
	}
}

// shout is a renderer that shows what it was given.
type shout struct{ text string }

func (s *shout) Add(message proto.Message) {
	event, ok := message.(*sandgatev1.RunResponse)
	if ok {
		s.text += strings.ToUpper(string(event.GetStdout().GetData())) + event.GetResult().GetStatus().String() + ";"
	}
}

func (s *shout) Content() []*sandgatev1.Content {
	return []*sandgatev1.Content{{Part: &sandgatev1.Content_Text{Text: s.text}}}
}

func TestRenderer(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Registry.Render("python_run", func() Renderer { return &shout{} }) })
	res, err := g.tools().CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: g.session(t), Name: "python_run", Arguments: arguments(t, `{"code":"hi"}`)})
	if err != nil || res.GetContent()[0].GetText() != "HISTATUS_UNSPECIFIED;STATUS_OK;" {
		t.Errorf("%v, %v", res, err)
	}
}

func FuzzDecodeArguments(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"code":"1+1"}`, `{"timeout":"60s"}`, `{"env":{"A":null}}`, `{"code":[[[[]]]]}`, `{"session_id":"x"}`,
		`{"max_output_bytes":1e400}`, `{"":""}`, `{"code":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	registry := NewRegistry()
	Stream(registry, sandgatev1connect.PythonServiceRunProcedure, (&rig{}).python)
	tool, target := registry.catalog.Tool("python_run"), registry.rpcs[sandgatev1connect.PythonServiceRunProcedure]
	f.Fuzz(func(t *testing.T, text []byte) {
		given := &structpb.Struct{}
		if protojson.Unmarshal(text, given) != nil {
			if proto.Unmarshal(text, given) != nil { // a struct off the wire need not be good JSON
				return
			}
		}
		message, err := decodeArguments(tool, target, &sandgatev1.CallToolRequest{SessionId: "ses_mine", Arguments: given})
		if err != nil {
			if connect.CodeOf(err) != connect.CodeInvalidArgument || len(err.Error()) > 2*maxProblem {
				t.Errorf("%s: %v", text, err)
			}
			return
		}
		if run, ok := message.(*sandgatev1.RunRequest); !ok || run.GetSessionId() != "ses_mine" {
			t.Errorf("%s became %v", text, message)
		}
		// However the fields were set, they are what the decoder makes of the arguments.
		slow := &sandgatev1.RunRequest{}
		if written, err := protojson.Marshal(given); err != nil || protojson.Unmarshal(written, slow) != nil {
			t.Fatalf("%s was taken, but does not decode", text)
		}
		if slow.SessionId = "ses_mine"; !proto.Equal(message, slow) {
			t.Errorf("%s became %v, not %v", text, message, slow)
		}
	})
}
