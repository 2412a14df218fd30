package gateway

import (
	"encoding/json"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// A misfit is a request that is no call: it goes to no RPC, or is written in no protocol. Connect
// answers some of these with a bare status, which tells whoever tries the API by hand nothing.
type misfit struct {
	status  int
	code    connect.Code
	message string
	allow   string // the methods that would do, where another was used
}

// misfitOf returns what is wrong with the form of a request to an RPC, nil if nothing is.
func misfitOf(r *http.Request, target *route) *misfit {
	if target == nil || r.URL.RawPath != "" {
		return &misfit{
			status: http.StatusNotFound, code: connect.CodeUnimplemented,
			message: "there is no such RPC; POST {} to /sandgate.v1.ToolService/ListTools for the tools, or ask gRPC reflection for the services",
		}
	}
	kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	kind = strings.TrimSpace(kind)
	enveloped := strings.HasPrefix(kind, "application/connect+") || strings.HasPrefix(kind, "application/grpc")
	plain := kind == "application/json" || kind == "application/proto"
	switch {
	case r.Method == http.MethodGet && target.gettable:
		return misfitOfQuery(r)
	case r.Method != http.MethodPost && target.gettable:
		return &misfit{http.StatusMethodNotAllowed, connect.CodeUnimplemented, "call it with POST or GET", "GET, POST"}
	case r.Method != http.MethodPost:
		return &misfit{http.StatusMethodNotAllowed, connect.CodeUnimplemented, "call it with POST", "POST"}
	case target.enveloped && plain:
		return &misfit{
			status: http.StatusUnsupportedMediaType, code: connect.CodeUnimplemented,
			message: "this RPC streams, which takes a Connect, gRPC or gRPC-Web client; with plain JSON call its tool by /sandgate.v1.ToolService/CallTool",
		}
	case !plain && !enveloped:
		return &misfit{
			status: http.StatusUnsupportedMediaType, code: connect.CodeUnimplemented,
			message: "say what the body is: -H 'Content-Type: application/json'",
		}
	}
	return nil
}

// misfitOfQuery is misfitOf for an RPC that is called with GET.
func misfitOfQuery(r *http.Request) *misfit {
	if encoding := r.URL.Query().Get("encoding"); encoding != "json" && encoding != "proto" {
		return &misfit{
			status: http.StatusUnsupportedMediaType, code: connect.CodeUnimplemented,
			message: "say how the message in the URL is written: ?encoding=json&message={}",
		}
	}
	return nil
}

// refuseMisfit answers a misfit in the form of Connect's errors.
func (s *Server) refuseMisfit(w http.ResponseWriter, m *misfit) {
	body, err := json.Marshal(map[string]string{"code": m.code.String(), "message": m.message})
	if err != nil {
		http.Error(w, m.message, m.status)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	switch m.status {
	case http.StatusMethodNotAllowed:
		header.Set("Allow", m.allow)
	case http.StatusUnsupportedMediaType:
		header.Set("Accept-Post", "application/json, application/proto, application/connect+json, application/connect+proto, "+
			"application/grpc, application/grpc-web")
	}
	w.WriteHeader(m.status)
	_, _ = w.Write(append(body, '\n')) // a client that left needs no answer
}
