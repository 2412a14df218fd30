package fileserver

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/pdf"
	"github.com/sandgate/sandgate/fileserver/tools/document"
	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	maxParts      = 200 // in a reply
	maxLineBytes  = 500 // of a location, a title, a property, a problem
	maxProperties = 64
	byPython      = "Read it with a program of your own, such as python_run."
	tooComplex    = "Ask for some of its parts, or read it with a program of your own."
)

// responseOf makes the reply to a caller of a reader's, which is believed nothing: who writes documents may
// have made the reader theirs.
func responseOf(wanted document.Request, reply *document.Reply) (*sandgatev1.ReadDocumentResponse, error) {
	if reply.Error != "" && reply.Text == "" && len(reply.Parts) == 0 {
		return nil, documentError(reply.Failure())
	}
	if int64(len(reply.Text)) > wanted.Limit {
		return nil, documentError(&wasm.ExitError{Program: "reader"})
	}
	total := max(reply.Total, 0)
	res := &sandgatev1.ReadDocumentResponse{
		Format: line(reply.Format), Text: strings.ToValidUTF8(reply.Text, "\uFFFD"), TotalSize: total, Problem: line(reply.Error),
		NextOffset: nextOffset(wanted, reply, total), UnlistedParts: min(max(reply.Unlisted, 0), total) + int64(max(len(reply.Parts)-maxParts, 0)),
	}
	for _, part := range reply.Parts[:min(len(reply.Parts), maxParts)] {
		offset := min(max(part.Offset, 0), total)
		res.Parts = append(res.Parts, &sandgatev1.DocumentPart{
			Location: line(part.Location), Title: line(part.Title), Offset: offset, Size: min(max(part.Size, 0), total-offset),
		})
	}
	for _, key := range slices.Sorted(maps.Keys(reply.Properties)) {
		if len(res.GetProperties()) == maxProperties {
			break
		}
		if res.Properties == nil {
			res.Properties = make(map[string]string)
		}
		res.Properties[line(key)] = line(reply.Properties[key])
	}
	return res, nil
}

// nextOffset is where the text goes on: always behind what was given out, so that who follows it comes to the
// end. A reader leaves out at most three bytes of a character at the beginning.
func nextOffset(wanted document.Request, reply *document.Reply, total int64) int64 {
	if reply.Text == "" {
		return total
	}
	after := min(wanted.Offset, total) + int64(len(reply.Text))
	return min(min(max(reply.Next, after), after+utf8.UTFMax-1), total)
}

// line makes a bounded line of what a document says.
func line(text string) string { return guestrpc.Clip(oneLine(text), maxLineBytes) }

// documentError is the error for a document that could not be read.
func documentError(err error) error {
	known := new(connect.Error)
	if errors.As(err, &known) {
		return err
	}
	for _, each := range []struct {
		is     error
		code   connect.Code
		reason string
		hint   string
	}{
		{document.ErrSelection, connect.CodeInvalidArgument, "INVALID_PARTS", `Say which parts as numbers ("3", "2-5,9", "7-") or names ("Sales!A1:D20").`},
		{document.ErrUnknown, connect.CodeFailedPrecondition, "DOCUMENT_FORMAT", "Read it with file_read if it is text, else with a program of your own."},
		{pdf.ErrPassword, connect.CodeFailedPrecondition, "DOCUMENT_ENCRYPTED", "Nobody here can read it without its password."},
		{document.ErrFormat, connect.CodeFailedPrecondition, "DOCUMENT_DAMAGED", "Look at its first bytes with file_read; say its format if its name or content misleads."},
		{wasm.ErrTimeout, connect.CodeResourceExhausted, "DOCUMENT_TOO_COMPLEX", tooComplex},
		{wasm.ErrMemory, connect.CodeResourceExhausted, "DOCUMENT_TOO_COMPLEX", tooComplex},
		{wasm.ErrOutput, connect.CodeResourceExhausted, "DOCUMENT_TOO_COMPLEX", tooComplex},
		{wasm.ErrClosed, connect.CodeUnavailable, "DRAINING", "Try again at another gateway, or when it is back."},
	} {
		if errors.Is(err, each.is) {
			return guestrpc.NewError(each.code, errors.New(line(err.Error())), each.reason, each.hint)
		}
	}
	var (
		exit    *wasm.ExitError
		failure *document.Failure
	)
	switch {
	case errors.As(err, &failure):
		return guestrpc.NewError(connect.CodeFailedPrecondition, errors.New(line(err.Error())), "DOCUMENT_UNREADABLE", byPython)
	case errors.As(err, &exit):
		return guestrpc.NewError(connect.CodeFailedPrecondition, errors.New("the document made its reader fail"), "DOCUMENT_DAMAGED", byPython)
	default:
		return err
	}
}
