package fileserver

import (
	"errors"
	"fmt"
	"strings"

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
)

// responseOf makes the reply to a caller of a reader's, which is believed nothing: who writes documents may
// have made the reader theirs.
func responseOf(wanted document.Request, reply *document.Reply) (*sandgatev1.ReadDocumentResponse, error) {
	if reply.Error != "" && reply.Text == "" && len(reply.Parts) == 0 {
		return nil, replyError(reply)
	}
	text := strings.ToValidUTF8(reply.Text, "\uFFFD")
	if int64(len(text)) > 3*wanted.Limit {
		return nil, documentError(&wasm.ExitError{Program: "reader"})
	}
	res := &sandgatev1.ReadDocumentResponse{
		Format: line(reply.Format), Text: text, TotalSize: max(reply.Total, 0), Problem: line(reply.Error),
		UnlistedParts: max(reply.Unlisted, 0) + int64(max(len(reply.Parts)-maxParts, 0)),
	}
	res.NextOffset = min(max(reply.Next, 0), res.GetTotalSize())
	for _, part := range reply.Parts[:min(len(reply.Parts), maxParts)] {
		res.Parts = append(res.Parts, &sandgatev1.DocumentPart{
			Location: line(part.Location), Title: line(part.Title), Offset: max(part.Offset, 0), Size: max(part.Size, 0),
		})
	}
	for key, value := range reply.Properties {
		if len(res.GetProperties()) == maxProperties {
			break
		}
		if res.Properties == nil {
			res.Properties = make(map[string]string)
		}
		res.Properties[line(key)] = line(value)
	}
	return res, nil
}

// line makes a bounded line of what a document says.
func line(text string) string { return guestrpc.Clip(oneLine(text), maxLineBytes) }

// replyError is the error for a document of which nothing could be read.
func replyError(reply *document.Reply) error {
	why := errors.New(line(reply.Error))
	switch reply.Reason {
	case document.ReasonDamaged:
		return documentError(fmt.Errorf("%w: %w", document.ErrFormat, why))
	case document.ReasonUnknown:
		return documentError(fmt.Errorf("%w: %w", document.ErrUnknown, why))
	case document.ReasonSelection:
		return documentError(fmt.Errorf("%w: %w", document.ErrSelection, why))
	default:
		return guestrpc.NewError(connect.CodeFailedPrecondition, why, "DOCUMENT_UNREADABLE", byPython)
	}
}

// documentError is the error for a document that could not be read.
func documentError(err error) error {
	var (
		known *connect.Error
		exit  *wasm.ExitError
	)
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, document.ErrSelection):
		return guestrpc.NewError(connect.CodeInvalidArgument, err, "INVALID_PARTS",
			`Say which parts as numbers ("3", "2-5,9", "7-") or names ("Sales!A1:D20").`)
	case errors.Is(err, document.ErrUnknown):
		return guestrpc.NewError(connect.CodeFailedPrecondition, err, "DOCUMENT_FORMAT", "Read it with file_read if it is text, else with a program of your own.")
	case errors.Is(err, pdf.ErrPassword):
		return guestrpc.NewError(connect.CodeFailedPrecondition, err, "DOCUMENT_ENCRYPTED", "Nobody here can read it without its password.")
	case errors.Is(err, document.ErrFormat):
		return guestrpc.NewError(connect.CodeFailedPrecondition, err, "DOCUMENT_DAMAGED", "Look at its first bytes with file_read; say its format if its name or content misleads.")
	case errors.Is(err, wasm.ErrTimeout), errors.Is(err, wasm.ErrMemory), errors.Is(err, wasm.ErrOutput):
		return guestrpc.NewError(connect.CodeResourceExhausted, fmt.Errorf("reading the document: %w", err), "DOCUMENT_TOO_COMPLEX", "Ask for some of its parts, or read it with a program of your own.")
	case errors.As(err, &exit):
		return guestrpc.NewError(connect.CodeFailedPrecondition, errors.New("the document made its reader fail"), "DOCUMENT_DAMAGED", byPython)
	default:
		return err
	}
}
