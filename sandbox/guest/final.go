package guest

import (
	"context"
	"net/http"
	"sync/atomic"
)

// finalKey is the key under which a call's context holds its finalWriter.
type finalKey struct{}

// finalWriter is a response that can be told that nothing but its end comes any more. Connect
// flushes after every message of a stream; without the last flush, the last messages and the end of
// the stream leave as one write.
type finalWriter struct {
	http.ResponseWriter
	final atomic.Bool
}

// Flush sends what was written, unless the end will do it at once.
func (w *finalWriter) Flush() {
	if !w.final.Load() {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // the next write tells what is wrong
	}
}

// Unwrap lets an http.ResponseController through.
func (w *finalWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// holdFinal lets handlers announce their last messages.
func holdFinal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		final := &finalWriter{ResponseWriter: w}
		next.ServeHTTP(final, r.WithContext(context.WithValue(r.Context(), finalKey{}, final)))
	})
}

// announceFinal says that the handler returns right after the messages that it sends next.
func announceFinal(ctx context.Context) {
	if w, ok := ctx.Value(finalKey{}).(*finalWriter); ok {
		w.final.Store(true)
	}
}
