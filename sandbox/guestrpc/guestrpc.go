// Package guestrpc is how the host calls the guest of a sandbox, believing it nothing: its messages
// are bounded before they are taken apart, its errors cleaned before they are passed on, and a call
// ends when the sandbox does or when the guest keeps it waiting for too long.
package guestrpc

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/piece"
)

// maxMessageDepth bounds how deep messages of a guest may nest before they are taken apart.
const maxMessageDepth = 1000

// transportKey is the context key under which a call carries the transport of its sandbox.
type transportKey struct{}

// WithSandbox returns a context whose calls through an [HTTPClient] go to the guest of sb. Begin does
// it for a [Call].
func WithSandbox(ctx context.Context, sb sandbox.Sandbox) context.Context {
	return context.WithValue(ctx, transportKey{}, sb.Transport())
}

// HTTPClient sends each request through the transport that its context carries. So one client serves
// every sandbox: building one for each call would cost a tenth of its time and half as much memory
// again, and keeping one per sandbox would need somebody to forget it. It is no http.Client, so that
// a guest's redirects are not followed.
type HTTPClient struct{}

// Do sends the request to the sandbox of its context.
func (HTTPClient) Do(req *http.Request) (*http.Response, error) {
	transport, ok := req.Context().Value(transportKey{}).(http.RoundTripper)
	if !ok {
		return nil, errors.Join(errors.New("the request belongs to no sandbox"), req.Body.Close())
	}
	if call := sandbox.DurableFrom(req.Context()); call != nil {
		return durable{transport, call, call.Next()}.roundTrip(req)
	}
	return transport.RoundTrip(req)
}

// Options are the options of a client that speaks to guests, whose messages have at most so many
// bytes.
func Options(maxMessageBytes int) []connect.ClientOption {
	return []connect.ClientOption{
		// Fields that this build does not know are dropped, so that a guest cannot hide anything in them.
		connect.WithCodec(piece.Codec{Options: proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxMessageDepth}}),
		// A compressed message could be a bomb, and there is no wire to spare.
		connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxMessageBytes),
		connect.WithInterceptors(spans{}),
	}
}

// A Request is any request of a session's services.
type Request interface {
	proto.Message
	GetSessionId() string
}

// ForGuest returns req without its session id: what runs in a sandbox need not learn the name under
// which its session can be reached. The contents are shared, not copied.
func ForGuest[Req Request](req Req) Req {
	source := req.ProtoReflect()
	target := source.New()
	source.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Name() != "session_id" {
			target.Set(field, value)
		}
		return true
	})
	message, ok := target.Interface().(Req)
	if !ok {
		return req
	}
	return message
}
