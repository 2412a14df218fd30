package fileserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	// maxMessageBytes bounds one message of a guest: the largest honest one is a page of 10,000 long paths.
	maxMessageBytes = 20 << 20
	// maxMessageDepth bounds how deep messages of a guest may nest before they are taken apart.
	maxMessageDepth = 1000
)

// transportKey is the context key under which a call carries the transport of its sandbox.
type transportKey struct{}

// withSandbox returns a context whose calls go to the guest of sb.
func withSandbox(ctx context.Context, sb sandbox.Sandbox) context.Context {
	return context.WithValue(ctx, transportKey{}, sb.Transport())
}

// guestTransport sends each request through the transport that its context carries. So one client
// serves every sandbox: building a client costs more than a call, and keeping one per sandbox would
// need somebody to forget it again. It is no http.Client, so that a guest's redirects are not
// followed.
type guestTransport struct{}

// Do sends the request to the sandbox of its context.
func (guestTransport) Do(req *http.Request) (*http.Response, error) {
	transport, ok := req.Context().Value(transportKey{}).(http.RoundTripper)
	if !ok {
		return nil, errors.Join(errors.New("the request belongs to no sandbox"), req.Body.Close())
	}
	return transport.RoundTrip(req)
}

// guestOptions are the options of every client that speaks to a guest.
func guestOptions() []connect.ClientOption {
	return []connect.ClientOption{
		connect.WithCodec(guestCodec{}),
		// A compressed message could be a bomb, and there is no wire to spare.
		connect.WithAcceptCompression("gzip", nil, nil),
		connect.WithReadMaxBytes(maxMessageBytes),
	}
}

// guestCodec is the binary codec, except that fields that this build does not know are dropped, so
// that a guest cannot hide anything in them, and that nesting is bounded.
type guestCodec struct{}

// Name returns the name under which the protocol knows the codec.
func (guestCodec) Name() string { return "proto" }

// Marshal encodes a message.
func (c guestCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend encodes a message behind dst, which spares the client a buffer.
func (guestCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	msg, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, msg)
}

// Unmarshal decodes a message of a guest. Strings that are not UTF-8 are an error.
func (guestCodec) Unmarshal(data []byte, message any) error {
	msg, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", message)
	}
	return proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxMessageDepth}.Unmarshal(data, msg)
}

// A sessionRequest is any request of a session's services.
type sessionRequest interface {
	proto.Message
	GetSessionId() string
}

// forGuest returns req without its session id: what runs in a sandbox need not learn the name under
// which its session can be reached. The contents are shared, not copied.
func forGuest[Req sessionRequest](req Req) Req {
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
