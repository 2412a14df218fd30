package gateway

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// send makes a request and returns the reply with its body.
func (g *rig) send(t *testing.T, method, path string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	res, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func TestOpenAPIPage(t *testing.T) {
	g := newRig(t, nil)
	res, text := g.send(t, http.MethodGet, openAPIPath, nil, "")
	tag := res.Header.Get("ETag")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" || tag == "" || text != string(g.server.openAPI.text) {
		t.Errorf("%s %v %.80s", res.Status, res.Header, text)
	}
	for name, test := range map[string]struct {
		method string
		header http.Header
		status int
	}{
		"it has not changed": {http.MethodGet, http.Header{"If-None-Match": {tag}}, http.StatusNotModified},
		"it has changed":     {http.MethodGet, http.Header{"If-None-Match": {`"other"`}}, http.StatusOK},
		"its head":           {http.MethodHead, nil, http.StatusOK},
		"not to be written":  {http.MethodPut, nil, http.StatusMethodNotAllowed},
		"not for pages":      {http.MethodGet, http.Header{"Origin": {"https://evil.example"}}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			res, _ := g.send(t, test.method, openAPIPath, test.header, "")
			if res.StatusCode != test.status {
				t.Errorf("%s, want %d", res.Status, test.status)
			}
			if told := res.Header.Get("ETag"); res.StatusCode < http.StatusBadRequest && told != tag {
				t.Errorf("the tag is %s, and was %s", told, tag)
			}
		})
	}
}

// TestRepliesAreAsDescribed holds replies against the schemas that the document has for them.
func TestRepliesAreAsDescribed(t *testing.T) {
	g := newRig(t, nil)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(g.server.openAPI.text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	id := g.session(t)
	const sessions, files, tools = "/sandgate.v1.SessionService/", "/sandgate.v1.FileService/", "/sandgate.v1.ToolService/"
	get := func(message string) string {
		return "?" + url.Values{"encoding": {"json"}, "message": {message}}.Encode()
	}
	for name, test := range map[string]struct {
		path, body string // no body: it is a GET
		status     int
		schema     string
	}{
		"create":         {sessions + "CreateSession", `{"metadata": {"a": "b"}, "limits": {"memoryBytes": 536870912}}`, 200, "sandgate.v1.CreateSessionResponse"},
		"list":           {sessions + "ListSessions", `{}`, 200, "sandgate.v1.ListSessionsResponse"},
		"list with GET":  {sessions + "ListSessions" + get(`{"pageSize": 5}`), "", 200, "sandgate.v1.ListSessionsResponse"},
		"extend":         {sessions + "ExtendSession", `{"sessionId": "` + id + `", "idleTimeout": "60.5s"}`, 200, "sandgate.v1.ExtendSessionResponse"},
		"read":           {files + "Read", `{"sessionId": "` + id + `", "path": "a", "length": 3}`, 200, "sandgate.v1.ReadResponse"},
		"tools with GET": {tools + "ListTools" + get(`{}`), "", 200, "sandgate.v1.ListToolsResponse"},
		"call":           {tools + "CallTool", `{"sessionId": "` + id + `", "name": "python_run", "arguments": {"code": "6*7"}}`, 200, "sandgate.v1.CallToolResponse"},
		"no such RPC":    {tools + "Nothing", `{}`, 404, "connect.Error"},
		"no such tool":   {tools + "CallTool", `{"sessionId": "` + id + `", "name": "nothing"}`, 404, "connect.Error"},
		"no session":     {sessions + "GetSession", `{"sessionId": "s"}`, 404, "connect.Error"},
		"bad value":      {sessions + "ListSessions", `{"pageSize": -1}`, 400, "connect.Error"},
		"bad JSON":       {sessions + "ListSessions", `{`, 400, "connect.Error"},
		"not by GET":     {sessions + "CreateSession" + get(`{}`), "", 405, "connect.Error"},
		"fault":          {files + "Read", `{"sessionId": "` + id + `", "path": "boom"}`, 500, "connect.Error"},
	} {
		t.Run(name, func(t *testing.T) {
			schema, err := compiler.Compile("openapi.json#/components/schemas/" + test.schema)
			if err != nil {
				t.Fatal(err)
			}
			method := http.MethodGet
			if test.body != "" {
				method = http.MethodPost
			}
			res, text := g.send(t, method, test.path, http.Header{"Content-Type": {"application/json"}}, test.body)
			if res.StatusCode != test.status || res.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s %v, want %d: %s", res.Status, res.Header, test.status, text)
			}
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		})
	}
}
