package audit

import (
	"strings"
	"time"
	"unicode"
)

// Kind says what happened.
type Kind string

// The kinds of events. They are part of the format.
const (
	// GatewayStart is a gateway that begins. Its hash is that of its settings.
	GatewayStart Kind = "gateway.start"
	// GatewayStop is a gateway that ends in good order. One that was killed has none.
	GatewayStop Kind = "gateway.stop"
	// Call is a request that has ended, well or not.
	Call Kind = "call"
	// CallRun is the work behind a call_id that has ended. It is done once, however often it is asked
	// for, and goes on when the caller leaves.
	CallRun Kind = "call.run"
	// SessionCreate is a session that was made.
	SessionCreate Kind = "session.create"
	// SessionEnd is a session that begins to end.
	SessionEnd Kind = "session.end"
	// SessionLost is a session whose sandbox ended before it did.
	SessionLost Kind = "session.lost"
	// Refused is a request that was not let in, or as many of them as its count says.
	Refused Kind = "refused"
	// KeyCreate is a key that is about to be made.
	KeyCreate Kind = "key.create"
	// KeyRotate is a key that is about to be made in place of the one in its detail.
	KeyRotate Kind = "key.rotate"
	// KeyRevoke is a key that is about to be revoked.
	KeyRevoke Kind = "key.revoke"
	// TokenCreate is a token that was made and is about to be handed out.
	TokenCreate Kind = "token.create"

	// SegmentStart is the first record of a segment.
	SegmentStart Kind = "log.segment"
	// Torn says that a last line without an end was cut off: whoever wrote it was killed. Size and
	// hash are those of what was cut off.
	Torn Kind = "log.torn"
	// Missed counts events for which there was no room.
	Missed Kind = "log.missed"
	// Resumed says that the log can be written again. Its detail is since when it could not be, and why.
	Resumed Kind = "log.resumed"
)

// maxField bounds each text of an event, in bytes.
const maxField = 512

// An Event is something that happened. Kind must be set; what does not apply is empty. It holds no
// code, no arguments, no output and no secret; texts are cut at 512 bytes, and letters that are not
// printable are replaced.
type Event struct {
	// Kind says what happened.
	Kind Kind `json:"event"`
	// At is when. Zero: now.
	At time.Time `json:"-"`
	// Tenant and Key are whose doing it was: Key is the id of a key or token.
	Tenant string `json:"tenant,omitempty"`
	Key    string `json:"key,omitempty"`
	// From is the address that a refused request came from.
	From string `json:"from,omitempty"`
	// Session is the beginning of a session's id, as in the gateway's log.
	Session string `json:"session,omitempty"`
	// Procedure and Tool are what was called.
	Procedure string `json:"procedure,omitempty"`
	Tool      string `json:"tool,omitempty"`
	// CallID is the caller's own name for the call.
	CallID string `json:"call_id,omitempty"`
	// Request is the id of the line in the gateway's log.
	Request string `json:"request,omitempty"`
	// Code is how the RPC ended, Status how the work did.
	Code   string `json:"code,omitempty"`
	Status string `json:"status,omitempty"`
	// Reason says why, for refusals and ends.
	Reason string `json:"reason,omitempty"`
	// Bytes and SHA256 are size and hash, in hex, of the request's body as it came in. A GET has none:
	// the hash is that of the query in its URL.
	Bytes  int64  `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Count is how many there were. Zero: one.
	Count int64 `json:"count,omitempty"`
	// Detail is what else is to be known.
	Detail string `json:"detail,omitempty"`
}

// bounded returns the event as it may be written.
func (e Event) bounded() Event {
	for _, text := range []*string{
		&e.Tenant, &e.Key, &e.From, &e.Session, &e.Procedure, &e.Tool, &e.CallID, &e.Request,
		&e.Code, &e.Status, &e.Reason, &e.SHA256, &e.Detail,
	} {
		*text = bounded(*text)
	}
	return e
}

// bounded cuts a text and takes from it what a terminal would obey.
func bounded(text string) string {
	if len(text) > maxField {
		text = strings.ToValidUTF8(text[:maxField], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
