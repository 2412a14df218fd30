package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	conformancev1 "github.com/sandgate/sandgate/third_party/conformance/connectrpc/conformance/v1"
)

const conformancePath = "/connectrpc.conformance.v1.ConformanceService/"

// registerConformance adds the suite's service, whose RPCs do as each request says and tell what they
// saw of it. Unimplemented is left out, as the suite wants it.
func registerConformance(r *Registry) {
	Unary(r, conformancePath+"Unary", func(ctx context.Context, req *conformancev1.UnaryRequest) (*conformancev1.UnaryResponse, error) {
		payload, err := answer(ctx, req.GetResponseDefinition(), []proto.Message{req})
		return &conformancev1.UnaryResponse{Payload: payload}, err
	})
	Unary(r, conformancePath+"IdempotentUnary", func(ctx context.Context, req *conformancev1.IdempotentUnaryRequest) (*conformancev1.IdempotentUnaryResponse, error) {
		payload, err := answer(ctx, req.GetResponseDefinition(), []proto.Message{req})
		return &conformancev1.IdempotentUnaryResponse{Payload: payload}, err
	})
	ClientStream(r, conformancePath+"ClientStream", func(ctx context.Context, recv func() (*conformancev1.ClientStreamRequest, error)) (*conformancev1.ClientStreamResponse, error) {
		var wanted *conformancev1.UnaryResponseDefinition
		var requests []proto.Message
		for {
			req, err := recv()
			if errors.Is(err, io.EOF) {
				payload, err := answer(ctx, wanted, requests)
				return &conformancev1.ClientStreamResponse{Payload: payload}, err
			}
			if err != nil {
				return nil, err
			}
			if len(requests) == 0 {
				wanted = req.GetResponseDefinition()
			}
			requests = append(requests, req)
		}
	})
	Stream(r, conformancePath+"ServerStream", func(ctx context.Context, req *conformancev1.ServerStreamRequest, send func(*conformancev1.ServerStreamResponse) error) error {
		a := &answers{wanted: req.GetResponseDefinition(), flush: func() error { return send(nil) }}
		a.send = func(payload *conformancev1.ConformancePayload) error {
			return send(&conformancev1.ServerStreamResponse{Payload: payload})
		}
		if err := a.begin(ctx); err != nil {
			return err
		}
		return a.finish(ctx, []proto.Message{req})
	})
	registerBidi(r, conformancePath+"BidiStream")
}

// registerBidi adds the RPC of a kind that a Registry has no use for: reflection, the only RPC of the
// gateway's that streams both ways, is not its own. Its route, its bounds and its errors are those of
// every other.
func registerBidi(r *Registry, procedure string) {
	e, ok := newRPC[conformancev1.BidiStreamRequest, conformancev1.BidiStreamResponse](r, procedure, true, true)
	if !ok {
		return
	}
	e.handler = func(options ...connect.HandlerOption) *connect.Handler {
		return connect.NewBidiStreamHandler(procedure, func(ctx context.Context, stream *connect.BidiStream[conformancev1.BidiStreamRequest, conformancev1.BidiStreamResponse]) error {
			return finish(ctx, converse(ctx, r, stream))
		}, options...)
	}
}

// converse answers each request at once if the first one says so, and otherwise all at the end.
func converse(ctx context.Context, r *Registry, stream *connect.BidiStream[conformancev1.BidiStreamRequest, conformancev1.BidiStreamResponse]) error {
	a := &answers{flush: func() error { return stream.Send(nil) }}
	a.send = func(payload *conformancev1.ConformancePayload) error {
		return stream.Send(&conformancev1.BidiStreamResponse{Payload: payload})
	}
	var requests []proto.Message // since the last answer
	atOnce := false
	for first := true; ; first = false {
		req, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := r.admit(ctx, req); err != nil {
			return err
		}
		requests = append(requests, req)
		if first {
			a.wanted, atOnce = req.GetResponseDefinition(), req.GetFullDuplex()
		}
		if !atOnce {
			continue
		}
		if first {
			if err := a.begin(ctx); err != nil {
				return err
			}
		}
		if !a.more() {
			break
		}
		if err := a.next(ctx, requests); err != nil {
			return err
		}
		requests = nil
	}
	if !atOnce {
		if err := a.begin(ctx); err != nil {
			return err
		}
	}
	return a.finish(ctx, requests)
}

// answer returns what a definition asks for in place of one reply.
func answer(ctx context.Context, wanted *conformancev1.UnaryResponseDefinition, requests []proto.Message) (*conformancev1.ConformancePayload, error) {
	seen, err := requestInfo(ctx, requests)
	if err != nil {
		return nil, err
	}
	setMetadata(ctx, wanted)
	delay(wanted)
	if wanted.GetError() != nil {
		return nil, wantedError(wanted.GetError(), seen)
	}
	return &conformancev1.ConformancePayload{Data: wanted.GetResponseData(), RequestInfo: seen}, nil
}

// answers are what a definition asks for in place of a stream of replies.
type answers struct {
	wanted *conformancev1.StreamResponseDefinition
	flush  func() error // sends the headers
	send   func(*conformancev1.ConformancePayload) error
	sent   int
}

// begin sends the headers, unless there will be nothing but an error.
func (a *answers) begin(ctx context.Context) error {
	setMetadata(ctx, a.wanted)
	if a.more() {
		return a.flush()
	}
	return nil
}

// more tells whether there are answers left.
func (a *answers) more() bool { return a.sent < len(a.wanted.GetResponseData()) }

// next sends one answer. The first one tells everything that was seen, the others what requests are new.
func (a *answers) next(ctx context.Context, requests []proto.Message) error {
	payload := &conformancev1.ConformancePayload{Data: a.wanted.GetResponseData()[a.sent]}
	seen, err := requestInfo(ctx, requests)
	switch {
	case err != nil:
		return err
	case a.sent == 0:
		payload.RequestInfo = seen
	case len(requests) > 0:
		payload.RequestInfo = &conformancev1.ConformancePayload_RequestInfo{Requests: seen.GetRequests()}
	}
	delay(a.wanted)
	a.sent++
	return a.send(payload)
}

// finish sends the answers that are left and ends the stream. The last one leaves with the end, as a
// tool's result does.
func (a *answers) finish(ctx context.Context, requests []proto.Message) error {
	for ; a.more(); requests = nil {
		if a.sent == len(a.wanted.GetResponseData())-1 {
			callFrom(ctx).noteLast()
		}
		if err := a.next(ctx, requests); err != nil {
			return err
		}
	}
	if a.wanted.GetError() == nil {
		return nil
	}
	if a.sent > 0 {
		return wantedError(a.wanted.GetError(), nil)
	}
	seen, err := requestInfo(ctx, requests)
	if err != nil {
		return err
	}
	return wantedError(a.wanted.GetError(), seen)
}

// setMetadata sets the headers and trailers that a definition asks for.
func setMetadata(ctx context.Context, wanted interface {
	GetResponseHeaders() []*conformancev1.Header
	GetResponseTrailers() []*conformancev1.Header
},
) {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return
	}
	addHeaders(info.ResponseHeader(), wanted.GetResponseHeaders())
	addHeaders(info.ResponseTrailer(), wanted.GetResponseTrailers())
}

func addHeaders(into http.Header, headers []*conformancev1.Header) {
	for _, header := range headers {
		for _, value := range header.GetValue() {
			into.Add(header.GetName(), value)
		}
	}
}

// delay waits as long as a definition asks for, whether or not there is anybody left to answer. The
// suite's client has a clock of its own, which ends a call at the deadline that it sends: a server that
// answers then, as ours does when it is let, races with it. TestDeadlineOfTheClient lets it.
func delay(wanted interface{ GetResponseDelayMs() uint32 }) {
	pass(time.Duration(wanted.GetResponseDelayMs()) * time.Millisecond)
}

// wantedError makes the error that a definition asks for, with what was seen of the request, if it is
// not nil, as a further detail.
func wantedError(wanted *conformancev1.Error, seen *conformancev1.ConformancePayload_RequestInfo) error {
	err := connect.NewError(connect.Code(wanted.GetCode()), errors.New(wanted.GetMessage()))
	details := make([]proto.Message, 0, len(wanted.GetDetails())+1)
	for _, detail := range wanted.GetDetails() {
		details = append(details, detail)
	}
	if seen != nil {
		details = append(details, seen)
	}
	for _, message := range details {
		detail, detailErr := connect.NewErrorDetail(message)
		if detailErr != nil {
			return detailErr
		}
		err.AddDetail(detail)
	}
	return err
}

// requestInfo tells what the handler saw of a call.
func requestInfo(ctx context.Context, requests []proto.Message) (*conformancev1.ConformancePayload_RequestInfo, error) {
	seen := &conformancev1.ConformancePayload_RequestInfo{}
	for _, request := range requests {
		message, err := anypb.New(request)
		if err != nil {
			return nil, err
		}
		seen.Requests = append(seen.Requests, message)
	}
	if deadline, ok := ctx.Deadline(); ok {
		seen.TimeoutMs = new(time.Until(deadline).Milliseconds())
	}
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return nil, errors.New("the context is no handler's")
	}
	seen.RequestHeaders = asHeaders(info.RequestHeader())
	if info.HTTPMethod() == http.MethodGet {
		seen.ConnectGetInfo = &conformancev1.ConformancePayload_ConnectGetInfo{QueryParams: asHeaders(info.Peer().Query)}
	}
	return seen, nil
}

func asHeaders(values map[string][]string) []*conformancev1.Header {
	headers := make([]*conformancev1.Header, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		headers = append(headers, &conformancev1.Header{Name: name, Value: values[name]})
	}
	return headers
}
