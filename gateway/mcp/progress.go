package mcp

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// progressEvery bounds how often a client is told: ten times a second.
	progressEvery = 100 * time.Millisecond
	// progressQuiet is how long nothing happens until a client is told that it still runs. Clients give
	// calls up of which they hear nothing, some after a minute.
	progressQuiet = 10 * time.Second
	// maxProgressText bounds a message, in characters.
	maxProgressText = 200
)

// progress tells a client how a call goes. A nil progress tells nobody.
type progress struct {
	notify func(number float64, text string)
	begun  time.Time

	mu     sync.Mutex
	timer  *time.Timer // fires when nothing has been told for too long; guarded by mu
	number float64     // of what was told last; guarded by mu
	told   time.Time   // when; guarded by mu
	text   string      // the last line of output; guarded by mu
	closed bool        // guarded by mu
}

// newProgress returns nil where the client did not ask to be told.
func newProgress(ctx context.Context, req *sdk.CallToolRequest) *progress {
	token := req.Params.GetProgressToken()
	if token == nil {
		return nil
	}
	p := &progress{begun: time.Now(), notify: func(number float64, text string) {
		// A client that cannot be told will see the result, or has left.
		_ = req.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: number, Message: text})
	}}
	p.mu.Lock() // quiet may be early
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(progressQuiet, p.quiet)
	return p
}

// event takes the next event of the call. It is told at once, or not at all if another was told just
// before.
func (p *progress) event(event *structpb.Struct) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if line := lastLine(event); line != "" {
		p.text = line
	}
	if now := time.Now(); now.Sub(p.told) >= progressEvery {
		p.tell(now, p.text)
	}
}

// quiet tells that the call still runs.
func (p *progress) quiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := time.Now()
	p.tell(now, fmt.Sprintf("still running after %v", now.Sub(p.begun).Round(time.Second)))
}

// tell sends a notification. The caller holds mu, so that numbers arrive in their order.
func (p *progress) tell(now time.Time, text string) {
	p.number++
	p.told = now
	p.notify(p.number, text)
	p.timer.Reset(progressQuiet)
}

// close tells nothing any more.
func (p *progress) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.timer.Stop()
}

// lastLine returns the last line of what an event shows: the bytes of an output, or a text. Empty: it
// shows nothing that could be read.
func lastLine(event *structpb.Struct) string {
	for _, field := range event.GetFields() { // one: events are a choice of one
		shown := field.GetStructValue().GetFields()
		text := shown["text"].GetStringValue()
		if data, err := base64.StdEncoding.DecodeString(shown["data"].GetStringValue()); err == nil && len(data) > 0 {
			text = string(data)
		}
		text = strings.TrimRightFunc(text, unicode.IsSpace)
		if line := readable(text[strings.LastIndexAny(text, "\r\n")+1:]); line != "" {
			return line
		}
	}
	return ""
}

// readable bounds a line, and takes out what would move a cursor or colour a screen.
func readable(line string) string {
	var out strings.Builder
	count := 0
	for _, r := range line {
		if !unicode.IsPrint(r) {
			continue
		}
		if count == maxProgressText {
			out.WriteString("…")
			break
		}
		out.WriteRune(r)
		count++
	}
	return strings.TrimSpace(out.String())
}
