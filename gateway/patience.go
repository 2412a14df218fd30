package gateway

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"
)

// patience bounds ctx by the deadline that a request asks for, which the protocol layer reads only later.
func patience(ctx context.Context, header http.Header) (context.Context, context.CancelFunc) {
	if timeout, ok := timeoutOf(header); ok {
		return context.WithTimeout(ctx, timeout)
	}
	return ctx, func() {}
}

// timeoutOf reads the timeouts of Connect, in milliseconds, and of gRPC, a number with a unit. One that
// is malformed is the protocol layer's to refuse.
func timeoutOf(header http.Header) (time.Duration, bool) {
	const most = 10 // digits, as Connect's
	if text := header.Get("Connect-Timeout-Ms"); text != "" && len(text) <= most {
		n, err := strconv.ParseInt(text, 10, 64)
		return time.Duration(n) * time.Millisecond, err == nil && n >= 0
	}
	text := header.Get("Grpc-Timeout")
	if len(text) < 2 || len(text) > 9 {
		return 0, false
	}
	unit, ok := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}[text[len(text)-1]]
	n, err := strconv.ParseInt(text[:len(text)-1], 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64/int64(unit) { // the longest is for ever
		return 0, false
	}
	return time.Duration(n) * unit, true
}
