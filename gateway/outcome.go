package gateway

import (
	"context"
	"net/http"
	"strconv"

	"connectrpc.com/connect"
)

// replyCode tells how a call ended. Errors that the protocol layer raises before any handler runs,
// such as a request that does not decode, are seen only in the reply.
func replyCode(c *call, reply *replyWriter) string {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return connect.CodeOf(wireError(err)).String()
	}
	for _, name := range []string{"Grpc-Status", http.TrailerPrefix + "Grpc-Status"} {
		if text := reply.Header().Get(name); text != "" && text != "0" {
			number, err := strconv.ParseUint(text, 10, 8)
			if err != nil {
				return connect.CodeUnknown.String()
			}
			return connect.Code(number).String()
		}
	}
	switch reply.status {
	case 0, http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent, http.StatusPartialContent, http.StatusNotModified:
		return "ok"
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated.String()
	case http.StatusForbidden:
		return connect.CodePermissionDenied.String()
	case http.StatusServiceUnavailable:
		return connect.CodeUnavailable.String()
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge:
		return connect.CodeInvalidArgument.String()
	case http.StatusTooManyRequests:
		return connect.CodeResourceExhausted.String()
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded.String()
	case 499:
		return connect.CodeCanceled.String()
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return connect.CodeUnimplemented.String()
	default:
		return connect.CodeUnknown.String()
	}
}

// streamErrors notes the errors of streams that the protocol layer raises around the handler.
type streamErrors struct{}

// WrapUnary changes nothing.
func (streamErrors) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

// WrapStreamingClient changes nothing.
func (streamErrors) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler notes the error of a stream unless the handler has noted its own.
func (streamErrors) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, conn)
		if c := callFrom(ctx); err != nil && c != nil {
			c.mu.Lock()
			if c.err == nil {
				c.err = err
			}
			c.mu.Unlock()
		}
		return err
	}
}
