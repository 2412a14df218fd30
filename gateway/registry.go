package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sandgate/sandgate/gateway/catalog"
)

// A Registry holds every RPC that the gateway serves. [Unary], [Stream] and [ClientStream] add one
// each; what they add is served over the wire and, where the RPC is a tool, called by ToolService.
// It is filled by one goroutine before the server is made, and only read afterwards.
type Registry struct {
	catalog   *catalog.Catalog
	access    access
	gate      *turnstile // of the server; nil before there is one
	auditor   Auditor    // of the server; nil before there is one
	tools     *tools
	traffic   *traffic
	operator  *operator                                            // nil: nobody serves OperatorService
	method    func(procedure string) protoreflect.MethodDescriptor // of the RPCs that may be added
	validator protovalidate.Validator
	rpcs      map[string]*rpc            // by procedure
	renderers map[string]func() Renderer // by tool name
	resumable map[string]bool            // by tool name
	own       ownTools
	errs      []error
}

// NewRegistry returns a registry that serves ToolService alone. An error that occurs while it is
// made or filled is kept and returned by [Registry.Err].
func NewRegistry() *Registry {
	r := &Registry{
		traffic: newTraffic(), rpcs: make(map[string]*rpc), renderers: make(map[string]func() Renderer), resumable: make(map[string]bool),
	}
	var err error
	if r.catalog, err = catalog.New(); err != nil {
		r.errs = append(r.errs, err)
		return r
	}
	r.access = newAccess(r.catalog)
	r.method = r.catalog.Method
	if r.validator, err = protovalidate.New(); err != nil {
		r.errs = append(r.errs, fmt.Errorf("make the validator: %w", err))
		return r
	}
	registerTools(r)
	return r
}

// Render sets how the replies of a tool are shown to models. Without it they are shown as JSON.
func (r *Registry) Render(tool string, newRenderer func() Renderer) {
	if r.catalog != nil && r.catalog.Tool(tool) == nil {
		r.errs = append(r.errs, fmt.Errorf("there is no tool %q to render", tool))
		return
	}
	r.renderers[tool] = newRenderer
}

// Missing returns the procedures of sandgate.v1 that nobody has registered, sorted.
func (r *Registry) Missing() []string {
	var missing []string
	if r.catalog == nil {
		return nil
	}
	for _, procedure := range r.catalog.Procedures() {
		if _, ok := r.rpcs[procedure]; !ok {
			missing = append(missing, procedure)
		}
	}
	slices.Sort(missing)
	return missing
}

// Err returns what went wrong while the registry was made or filled. A server is not made from a
// registry with an error.
func (r *Registry) Err() error { return errors.Join(r.errs...) }

// newRPC checks a registration against the descriptors and files it.
func newRPC[Req, Res any](r *Registry, procedure string, clientStream, serverStream bool) (*rpc, bool) {
	fail := func(format string, args ...any) (*rpc, bool) {
		r.errs = append(r.errs, fmt.Errorf("register "+procedure+": "+format, args...))
		return nil, false
	}
	if r.catalog == nil {
		return nil, false
	}
	method := r.method(procedure)
	if method == nil {
		return fail("no such RPC in the descriptors")
	}
	if _, ok := r.rpcs[procedure]; ok {
		return fail("it is registered already")
	}
	req, res := asMessage(new(Req)), asMessage(new(Res))
	if req == nil || res == nil {
		return fail("%T and %T must be messages", new(Req), new(Res))
	}
	if got, want := req.ProtoReflect().Descriptor().FullName(), method.Input().FullName(); got != want {
		return fail("its request is %s, not %s", want, got)
	}
	if got, want := res.ProtoReflect().Descriptor().FullName(), method.Output().FullName(); got != want {
		return fail("its reply is %s, not %s", want, got)
	}
	if method.IsStreamingClient() != clientStream || method.IsStreamingServer() != serverStream {
		return fail("it streams otherwise")
	}
	rule := r.access.rules[procedure]
	e := &rpc{
		procedure:  procedure,
		tool:       rule.tool,
		works:      rule.tool != "" || rule.beside,
		method:     method,
		newRequest: func() proto.Message { return asMessage(new(Req)) },
	}
	if serverStream {
		e.last = res.ProtoReflect().Descriptor().Fields().ByName(catalog.ResultField)
	}
	r.rpcs[procedure] = e
	return e, true
}

// service returns the full name of the service of a procedure.
func service(procedure string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(procedure, "/"), "/")
	return name
}
