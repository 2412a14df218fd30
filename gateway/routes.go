package gateway

import (
	"net/http"
	"slices"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sandgate/sandgate/gateway/quota"
)

// route is one path that is served under the bounds of an RPC.
type route struct {
	procedure string
	handler   http.Handler
	// streams tells that the request is a stream, whose length is not bounded here.
	streams bool
	// enveloped tells that request or reply is a stream, whose messages have envelopes.
	enveloped bool
	// authorization returns the credentials of a request to a mount that does not bring them in a header.
	authorization func(*http.Request) string
	// public tells that it is served without asking who calls.
	public bool
	// gettable tells that the RPC may be called with GET.
	gettable bool
	// kind tells which places it needs.
	kind quota.Kind
	// changes tells that the RPC has side effects, audited that its calls are written down.
	changes, audited bool
}

// newRoutes makes a route of every RPC, and those of health and reflection. Paths are matched as
// they are: there is no cleaning, no redirect, and so no second spelling of a procedure.
func (s *Server) newRoutes() map[string]*route {
	routes := make(map[string]*route)
	services := []string{}
	bounds := handlerBounds(s.opts.maxMessageBytes)
	for procedure, e := range s.opts.Registry.rpcs {
		rule := s.access.rules[procedure]
		routes[procedure] = &route{
			procedure: procedure,
			kind:      kindOf(procedure),
			changes:   rule.changes,
			audited:   rule.changes || rule.tool != "",
			streams:   e.method.IsStreamingClient(),
			enveloped: e.method.IsStreamingClient() || e.method.IsStreamingServer(),
			gettable:  idempotency(e) == connect.IdempotencyNoSideEffects && !e.method.IsStreamingServer(),
			handler: e.handler(bounds, connect.WithSchema(e.method), connect.WithInterceptors(streamErrors{}),
				connect.WithIdempotency(idempotency(e))),
		}
		if name := service(procedure); !slices.Contains(services, name) {
			services = append(services, name)
		}
	}
	slices.Sort(services)
	_, health := grpchealth.NewHandler(newHealth(s.ready, services), bounds)
	for _, method := range []string{"Check", "Watch"} {
		path := "/" + grpchealth.HealthV1ServiceName + "/" + method
		routes[path] = &route{procedure: path, handler: health, enveloped: method == "Watch", public: true, kind: kindless}
	}
	reflector := grpcreflect.NewStaticReflector(append(services, grpchealth.HealthV1ServiceName)...)
	for _, name := range []string{grpcreflect.ReflectV1ServiceName, grpcreflect.ReflectV1AlphaServiceName} {
		newHandler := grpcreflect.NewHandlerV1
		if name == grpcreflect.ReflectV1AlphaServiceName {
			newHandler = grpcreflect.NewHandlerV1Alpha
		}
		_, handler := newHandler(reflector, bounds)
		path := "/" + name + "/ServerReflectionInfo"
		routes[path] = &route{procedure: path, streams: true, enveloped: true, handler: handler, kind: kindless}
	}
	return routes
}

// handlerBounds are the options that every handler has: how much it reads, and how it compresses.
// All handlers must share one, as its large messages take turns.
func handlerBounds(maxMessageBytes int) connect.HandlerOption {
	turns := newTurns()
	return connect.WithHandlerOptions(
		connect.WithReadMaxBytes(maxMessageBytes),
		connect.WithCompressMinBytes(compressMinBytes),
		withBoundedGzip(int64(maxMessageBytes)),
		connect.WithCodec(protoCodec{turns}),
		connect.WithCodec(jsonCodec{"json", turns}),
		connect.WithCodec(jsonCodec{"json; charset=utf-8", turns}),
	)
}

// idempotency returns the level that an RPC's descriptor gives it. It is what decides whether the
// RPC may be called with GET.
func idempotency(e *rpc) connect.IdempotencyLevel {
	options, ok := proto.Clone(e.method.Options()).(*descriptorpb.MethodOptions)
	if !ok {
		return connect.IdempotencyUnknown
	}
	switch options.GetIdempotencyLevel() {
	case descriptorpb.MethodOptions_NO_SIDE_EFFECTS:
		return connect.IdempotencyNoSideEffects
	case descriptorpb.MethodOptions_IDEMPOTENT:
		return connect.IdempotencyIdempotent
	default:
		return connect.IdempotencyUnknown
	}
}
