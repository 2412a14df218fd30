package web

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxMailDepth bounds how deep parts and forwarded messages are nested.
	maxMailDepth = 20
	// maxMailParts bounds how many parts a message has.
	maxMailParts = 5000
)

// A mailReader gives out a message's parts.
type mailReader struct {
	in    *document.Input
	out   *document.Output
	count int      // of parts that were seen
	given int      // of parts that a selection counts
	other int      // how many forms are open that are not the preferred one
	forms []string // the texts that are not given out because there is a better form of them
}

// Mail reads a message (RFC 5322, MIME: RFC 2045 to 2047): its header, its texts by their part's number as in
// IMAP, "part 1.2", and what else it has by name, type and size. Of a text in several forms it gives out the
// plain one, and tells of the others, which are given out where they are asked for by their part's number.
func Mail(in *document.Input, out *document.Output) error {
	r := &mailReader{in: in, out: out}
	message := parseEntity(in.Data, "text/plain")
	if len(message.header) == 0 {
		return document.Damaged("no message: it has no header")
	}
	for _, name := range fields() {
		out.Property(strings.ToLower(name), message.decoded(name))
	}
	if err := r.add("header", message.decoded("Subject"), message.head()); err != nil {
		return err
	}
	number := ""
	if !strings.HasPrefix(message.mediaType, "multipart/") {
		number = "1"
	}
	err := r.entity(message, number, 0)
	out.Property("other forms", strings.Join(r.forms, ", "))
	return err
}

// fields are those of a header that tell a reader something.
func fields() []string {
	return []string{"From", "To", "Cc", "Bcc", "Reply-To", "Date", "Subject", "Message-Id", "In-Reply-To"}
}

// head returns a message's header as a list.
func (e *entity) head() string {
	var b strings.Builder
	for _, name := range fields() {
		if value := e.decoded(name); value != "" {
			b.WriteString("- " + name + ": " + value + "\n")
		}
	}
	return b.String()
}

// entity gives out an entity, which is the whole message or a part of one.
func (r *mailReader) entity(e entity, number string, depth int) error {
	if r.count++; r.count > maxMailParts || depth > maxMailDepth {
		return document.Damaged("the message has more than %d parts, or they are nested deeper than %d", maxMailParts, maxMailDepth)
	}
	location := "part " + number
	switch kind := e.mediaType; {
	case strings.HasPrefix(kind, "multipart/"):
		return r.multipart(e, number, depth)
	case kind == "message/rfc822" || kind == "message/global":
		return r.forwarded(e, number, depth)
	case !e.isText():
		return r.add(location, e.fileName(), "(attachment: "+e.describe()+")")
	case r.other > 0:
		r.forms = append(r.forms, fmt.Sprintf("%s (%s)", location, kind))
		if _, asked := r.in.Parts.Named(location); !asked {
			return nil
		}
	}
	return r.add(location, e.fileName(), e.text())
}

// multipart gives out the parts of an entity.
func (r *mailReader) multipart(e entity, number string, depth int) error {
	standard := "text/plain"
	if e.mediaType == "multipart/digest" {
		standard = "message/rfc822"
	}
	bodies := split(e.body, e.parameters["boundary"])
	switch {
	case len(bodies) == 0:
		return r.add("part "+cmp.Or(number, "1"), "", e.text())
	case len(bodies) > maxMailParts:
		return document.Damaged("the message has more than %d parts", maxMailParts)
	}
	parts := make([]entity, len(bodies))
	for i, body := range bodies {
		parts[i] = parseEntity(body, standard)
	}
	only := -1
	if e.mediaType == "multipart/alternative" {
		only = preferred(parts)
	}
	for i, part := range parts {
		other := only >= 0 && i != only && part.mediaType != "text/calendar"
		if other {
			r.other++
		}
		err := r.entity(part, strings.TrimPrefix(fmt.Sprintf("%s.%d", number, i+1), "."), depth+1)
		if other {
			r.other--
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// preferred returns which of several forms of a text is given out: the plain one, unless it is empty.
func preferred(parts []entity) int {
	for _, kind := range []string{"text/plain", "text/html", "multipart/related", "multipart/mixed", "multipart/alternative"} {
		for i, part := range parts {
			if part.mediaType == kind && len(bytes.TrimSpace(part.body)) > 0 {
				return i
			}
		}
	}
	return -1
}

// forwarded gives out a message in the message.
func (r *mailReader) forwarded(e entity, number string, depth int) error {
	message := parseEntity(e.decodedBody(), "text/plain")
	if err := r.add("part "+number, message.decoded("Subject"), "(a message)\n\n"+message.head()); err != nil {
		return err
	}
	if !strings.HasPrefix(message.mediaType, "multipart/") {
		number += ".1"
	}
	return r.entity(message, number, depth+1)
}

// add gives out a part if it is wanted.
func (r *mailReader) add(location, title, text string) error {
	r.given++
	for _, name := range []string{location, strings.TrimPrefix(location, "part "), title} {
		if r.in.Parts.Wants(r.given, name) {
			return r.out.Add(document.Part{Location: location, Title: title, Text: text})
		}
	}
	return nil
}
