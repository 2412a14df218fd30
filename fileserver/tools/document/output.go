package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// ErrEnough is returned by a reader that knows that nothing of the rest is wanted. It is no error of the reply.
var ErrEnough = errors.New("enough")

const (
	// maxListed bounds the list of parts.
	maxListed = 200
	// maxLine bounds a location, a title and a property's value, in bytes.
	maxLine = 500
	// maxProperties bounds what a document says of itself.
	maxProperties = 64
)

// A Request is what a caller wants of a document. It is one line of JSON, before the document.
type Request struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`             // of the document, in bytes
	Format string `json:"format,omitempty"` // empty: that of the content
	Parts  string `json:"parts,omitempty"`  // a selection, empty for all
	Search string `json:"search,omitempty"` // only parts that have it, whatever its case
	Offset int64  `json:"offset"`           // of the first byte of the text that is wanted
	Limit  int64  `json:"limit"`            // bytes of text; positive
}

// A Listed is a part in the list of all that were selected.
type Listed struct {
	Location string `json:"location"`
	Title    string `json:"title,omitempty"`
	Offset   int64  `json:"offset"` // of its beginning in the text
	Size     int64  `json:"size"`   // bytes
}

// A Reply is what the program writes, as JSON.
type Reply struct {
	Format     string            `json:"format"`
	Properties map[string]string `json:"properties,omitempty"`
	Parts      []Listed          `json:"parts,omitempty"`
	Unlisted   int64             `json:"unlisted,omitempty"` // parts that are not in the list
	Text       string            `json:"text"`
	Next       int64             `json:"next"`  // the offset of what comes after Text
	Total      int64             `json:"total"` // bytes of the whole text
	// Error is why there is nothing, or no more, and Reason one of the constants.
	Error  string `json:"error,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// A Failure is the error of a reply. It is [ErrFormat], [ErrUnknown] or [ErrSelection] where its reason says so.
type Failure struct{ text, reason string }

// Failure returns the reply's error.
func (r *Reply) Failure() *Failure { return &Failure{text: r.Error, reason: r.Reason} }

// Error is what the reader said.
func (f *Failure) Error() string { return f.text }

// Is tells what the reason stands for.
func (f *Failure) Is(target error) bool {
	switch f.reason {
	case ReasonDamaged:
		return target == ErrFormat
	case ReasonUnknown:
		return target == ErrUnknown
	case ReasonSelection:
		return target == ErrSelection
	default:
		return false
	}
}

// Reasons of errors.
const (
	ReasonDamaged   = "damaged"   // what an error is that wraps ErrFormat
	ReasonUnknown   = "unknown"   // ErrUnknown
	ReasonSelection = "selection" // ErrSelection
	ReasonOther     = "other"     // any other: a limit was hit
)

// reasonOf returns what an error is.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrFormat):
		return ReasonDamaged
	case errors.Is(err, ErrUnknown):
		return ReasonUnknown
	case errors.Is(err, ErrSelection):
		return ReasonSelection
	default:
		return ReasonOther
	}
}

// An Output collects what is wanted of the parts that a reader gives out.
type Output struct {
	request Request
	reply   Reply
	text    strings.Builder
	search  string
}

// NewOutput returns an Output for a request.
func NewOutput(request Request) *Output {
	return &Output{request: request, search: folded(request.Search)}
}

// folded returns a text as it is searched: whatever its case, and with any run of white space as one space, as lines of
// documents break and are justified anywhere.
func folded(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

// Property notes what the document says of itself: title, author, pages. Empty values are left out.
func (o *Output) Property(key, value string) {
	if value = oneLine(value); value == "" || len(o.reply.Properties) >= maxProperties {
		return
	}
	if o.reply.Properties == nil {
		o.reply.Properties = make(map[string]string)
	}
	o.reply.Properties[oneLine(key)] = value
}

// Add takes a part.
func (o *Output) Add(part Part) error {
	if o.search != "" && !strings.Contains(folded(part.Title+"\n"+part.Text), o.search) {
		return nil
	}
	location, title := oneLine(part.Location), oneLine(part.Title)
	head := "[" + location + "]"
	if title != "" {
		head += " " + title
	}
	text := head + "\n\n" + strings.Trim(part.Text, "\n") + "\n\n"
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if len(o.reply.Parts) < maxListed {
		o.reply.Parts = append(o.reply.Parts, Listed{Location: location, Title: title, Offset: o.reply.Total, Size: int64(len(text))})
	} else {
		o.reply.Unlisted++
	}
	o.keep(text)
	return nil
}

// keep keeps what is wanted of the text.
func (o *Output) keep(text string) {
	start, end := o.reply.Total, o.reply.Total+int64(len(text))
	o.reply.Total = end
	from, to := max(start, o.request.Offset), min(end, o.request.Offset+o.request.Limit)
	if from >= to {
		return
	}
	o.text.WriteString(text[from-start : to-start])
}

// Write writes the reply, with why the reader ended.
func (o *Output) Write(to io.Writer, format string, err error) error {
	if err := json.NewEncoder(to).Encode(o.Reply(format, err)); err != nil {
		return fmt.Errorf("write the reply: %w", err)
	}
	return nil
}

// Reply returns the reply, with why the reader ended. It is called once.
func (o *Output) Reply(format string, err error) *Reply {
	o.reply.Format = format
	whole := o.text.String()
	for len(whole) > 0 && !utf8.RuneStart(whole[0]) {
		whole = whole[1:]
	}
	begun := min(o.request.Offset, o.reply.Total) + int64(o.text.Len()-len(whole))
	o.reply.Text = wholeRunes(whole)
	o.reply.Next = begun + int64(len(o.reply.Text))
	if err != nil && !errors.Is(err, ErrEnough) {
		o.reply.Error, o.reply.Reason = oneLine(err.Error()), reasonOf(err)
	}
	return &o.reply
}

// wholeRunes cuts what the end of a range has left of a character.
func wholeRunes(text string) string {
	for cut := 1; cut < utf8.UTFMax && cut <= len(text); cut++ {
		if tail := text[len(text)-cut:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRuneInString(tail) {
				return text[:len(text)-cut]
			}
			break
		}
	}
	return text
}

// oneLine makes a bounded line of a text.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > maxLine {
		text = wholeRunes(text[:maxLine])
	}
	return text
}
