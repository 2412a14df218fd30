package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// What somebody who tries the API with curl gets wrong first is answered with what would be right.
func TestMisfitsAreTold(t *testing.T) {
	g := newRig(t, nil)
	const list, run = "/sandgate.v1.ToolService/ListTools", "/sandgate.v1.PythonService/Run"
	for name, test := range map[string]struct {
		method, path, contentType, body string
		status                          int
		says                            string
	}{
		"no content type":     {"POST", list, "", "{}", 415, "Content-Type: application/json"},
		"a form":              {"POST", list, "application/x-www-form-urlencoded", "{}", 415, "Content-Type: application/json"},
		"another method":      {"PUT", list, "application/json", "{}", 405, "with POST or GET"},
		"not to be got":       {"GET", "/sandgate.v1.SessionService/CreateSession", "", "", 405, "with POST"},
		"no encoding":         {"GET", list, "", "", 415, "?encoding=json"},
		"another encoding":    {"GET", list + "?encoding=xml&message={}", "", "", 415, "?encoding=json"},
		"no such RPC":         {"POST", "/sandgate.v1.ToolService/Nothing", "application/json", "{}", 404, "ListTools"},
		"the root":            {"GET", "/", "", "", 404, "ListTools"},
		"plain to a stream":   {"POST", run, "application/json", "{}", 415, "CallTool"},
		"unknown field":       {"POST", "/sandgate.v1.SessionService/CreateSession", "application/json", `{"tmplate":"data"}`, 400, "template, limits"},
		"unknown field below": {"POST", "/sandgate.v1.SessionService/CreateSession", "application/json", `{"limits":{"memory":1}}`, 400, `unknown field "memory"`},
		"length of time":      {"POST", "/sandgate.v1.SessionService/CreateSession", "application/json", `{"idle_timeout":"10m"}`, 400, `"600s"`},
		"nothing":             {"POST", list, "application/json", "", 400, "{}"},
		"required":            {"POST", "/sandgate.v1.SessionService/GetSession", "application/json", `{}`, 400, "session_id: is required"},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, g.url+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.contentType != "" {
				req.Header.Set("Content-Type", test.contentType)
			}
			res, err := g.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			var told struct{ Code, Message string }
			if err := json.NewDecoder(res.Body).Decode(&told); err != nil {
				t.Fatalf("%s: %v", res.Status, err)
			}
			if allow := res.Header.Get("Allow"); (res.StatusCode == http.StatusMethodNotAllowed) != (allow != "") ||
				strings.Contains(allow, "GET") != (allow != "" && test.path == list) {
				t.Errorf("%s allows %q", res.Status, allow)
			}
			if code := map[int]string{400: "invalid_argument", 404: "unimplemented", 405: "unknown", 415: "unknown"}[test.status]; told.Code != code {
				t.Errorf("%s says %q, want %q", res.Status, told.Code, code)
			}
			ours := test.contentType == "application/json" // else the reply is no error of Connect's
			if got := res.Header.Get("Content-Type"); ours != (got == "application/json") {
				t.Errorf("the reply is %q", got)
			}
			if res.StatusCode != test.status || !strings.Contains(told.Message, test.says) || strings.Contains(told.Message, "sandgatev1") {
				t.Errorf("%s, %+v; want %d and %q", res.Status, told, test.status, test.says)
			}
		})
	}
}

// A client reads errors where its protocol puts them, and nowhere else.
func TestNoSuchRPCInEveryProtocol(t *testing.T) {
	g := newRig(t, nil)
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			client := connect.NewClient[sandgatev1.ListToolsRequest, sandgatev1.ListToolsResponse](
				g.client, g.url+"/sandgate.v1.ToolService/Nothing", options...)
			_, unary := client.CallUnary(t.Context(), connect.NewRequest(&sandgatev1.ListToolsRequest{}))
			stream, err := client.CallServerStream(t.Context(), connect.NewRequest(&sandgatev1.ListToolsRequest{}))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stream.Close() }()
			if stream.Receive() {
				t.Error("it answers")
			}
			for kind, err := range map[string]error{"unary": unary, "stream": stream.Err()} {
				if connect.CodeOf(err) != connect.CodeUnimplemented || !strings.Contains(err.Error(), "ListTools") {
					t.Errorf("%s: %v", kind, err)
				}
			}
		})
	}
}
