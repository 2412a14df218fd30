package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// A misfit is a request that is no call: it goes to no RPC, or is written in no protocol. Connect
// answers some of these with a bare status, which tells whoever tries the API by hand nothing.
type misfit struct {
	status  int
	message string
	allow   string // the methods that would do, where another was used
}

// code returns what Connect's clients make of the bare status: those that read the reply and those that
// do not learn the same.
func (m *misfit) code() connect.Code {
	if m.status == http.StatusNotFound {
		return connect.CodeUnimplemented
	}
	return connect.CodeUnknown
}

// formOf tells how the body of a request is written: as one plain message, or as messages in envelopes,
// which is how streams, gRPC and gRPC-Web write. It may be neither.
func formOf(r *http.Request) (plain, enveloped bool) {
	kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	kind = strings.TrimSpace(kind)
	plain = kind == "application/json" || kind == "application/proto"
	enveloped = strings.HasPrefix(kind, "application/connect+") || strings.HasPrefix(kind, "application/grpc")
	return plain, enveloped
}

// misfitOf returns what is wrong with the form of a request to an RPC, nil if nothing is.
func misfitOf(r *http.Request, target *route) *misfit {
	plain, enveloped := formOf(r)
	switch {
	case target == nil || r.URL.RawPath != "":
		return &misfit{
			status:  http.StatusNotFound,
			message: "there is no such RPC; POST {} to /sandgate.v1.ToolService/ListTools for the tools, or ask gRPC reflection for the services",
		}
	case r.Method == http.MethodGet && target.gettable:
		return misfitOfQuery(r)
	case r.Method != http.MethodPost && target.gettable:
		return &misfit{http.StatusMethodNotAllowed, "call it with POST or GET", "GET, POST"}
	case r.Method != http.MethodPost:
		return &misfit{http.StatusMethodNotAllowed, "call it with POST", "POST"}
	case target.enveloped && plain:
		return &misfit{
			status:  http.StatusUnsupportedMediaType,
			message: "this RPC streams, which takes a Connect, gRPC or gRPC-Web client; with plain JSON call its tool by /sandgate.v1.ToolService/CallTool",
		}
	case !plain && !enveloped:
		return &misfit{
			status:  http.StatusUnsupportedMediaType,
			message: "say what the body is: -H 'Content-Type: application/json'",
		}
	}
	return nil
}

// misfitOfQuery is misfitOf for an RPC that is called with GET.
func misfitOfQuery(r *http.Request) *misfit {
	if encoding := r.URL.Query().Get("encoding"); encoding != "json" && encoding != "proto" {
		return &misfit{
			status:  http.StatusUnsupportedMediaType,
			message: "say how the message in the URL is written: ?encoding=json&message={}",
		}
	}
	return nil
}

// refuseMisfit answers a misfit. A client whose protocol has envelopes expects its errors there, and may
// read nothing else. Everybody else gets the status and JSON as in Connect's errors.
func (s *Server) refuseMisfit(w http.ResponseWriter, r *http.Request, m *misfit) {
	plain, enveloped := formOf(r)
	if enveloped && s.errors.IsSupported(r) {
		s.answerError(w, r, connect.NewError(m.code(), errors.New(m.message)))
		return
	}
	body, err := json.Marshal(map[string]string{"code": m.code().String(), "message": m.message})
	if err != nil {
		http.Error(w, m.message, m.status)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	if !plain {
		// The protocol writes its errors' type without a charset. This reply is for people and tools that
		// do not speak Connect, and need not be held to what Connect says of errors: a gRPC client, say,
		// will not even read it.
		header.Set("Content-Type", "application/json; charset=utf-8")
	}
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
