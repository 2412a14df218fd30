package fileserver

import (
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/tools/archive"
	"github.com/sandgate/sandgate/fileserver/wasm"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const byTool = "Unpack it with a program of your own, such as unzip, tar or python_run."

// archiveTooLarge is the error for an archive that is not fetched.
func archiveTooLarge(size int64) error {
	return guestrpc.NewError(connect.CodeFailedPrecondition,
		fmt.Errorf("the archive has %d bytes, and no more than %d are unpacked here", size, maxDocument), "ARCHIVE_TOO_LARGE", byTool)
}

// problemError is the error for an archive of which not all was unpacked, as the program tells.
func problemError(report archive.Report, unpacked string) error {
	code, reason, hint := connect.CodeFailedPrecondition, "ARCHIVE_DAMAGED", "Get the archive again, or take out of it what can be read with a program of your own."
	switch report.Problem {
	case archive.Unknown:
		reason, hint = "ARCHIVE_FORMAT", "Look at what it is with file_read_document, or unpack it with a program of your own."
	case archive.Encrypted:
		reason, hint = "ARCHIVE_ENCRYPTED", "Nobody here can unpack it without its password; with it, a program of your own can."
	case archive.Large:
		code, reason, hint = connect.CodeResourceExhausted, "ARCHIVE_CONTENT_TOO_LARGE", "Ask for some of its entries with include, or make a session with more memory."
	case archive.Many:
		code, reason, hint = connect.CodeResourceExhausted, "ARCHIVE_TOO_MANY_ENTRIES", "Ask for some of its entries with include, or unpack it with a program of your own."
	case archive.Pattern:
		code, reason, hint = connect.CodeInvalidArgument, "BAD_PATTERN", "Patterns are those of file_glob, such as src/**/*.go."
	case archive.None, archive.Damaged:
	}
	return told(code, report.Detail, unpacked, reason, hint)
}

// archiveError is the error for an archive that made the program fail, or the gateway's own fault.
func archiveError(err error, unpacked string) error {
	const tooMuch = "Ask for some of its entries with include, or unpack it with a program of your own."
	exit := new(wasm.ExitError)
	switch {
	case errors.Is(err, wasm.ErrClosed):
		return guestrpc.NewError(connect.CodeUnavailable, errors.New(line(err.Error())), "DRAINING", "Try again at another gateway, or when it is back.")
	case errors.Is(err, wasm.ErrTimeout), errors.Is(err, wasm.ErrMemory), errors.Is(err, wasm.ErrOutput):
		return told(connect.CodeResourceExhausted, "the archive: "+err.Error(), unpacked, "ARCHIVE_TOO_COMPLEX", tooMuch)
	case errors.As(err, &exit):
		return told(connect.CodeFailedPrecondition, "the archive made its reader fail", unpacked, "ARCHIVE_DAMAGED", byTool)
	default:
		return err
	}
}

// told is an error that says how much was unpacked.
func told(code connect.Code, what, unpacked, reason, hint string) error {
	return guestrpc.NewError(code, errors.New(line(what)+"; "+line(unpacked)), reason, hint)
}
