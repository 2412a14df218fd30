package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"unicode"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The exit codes that are the same for every command.
const (
	exitFailed      = 1   // it ran and failed
	exitUsage       = 2   // the command line or the configuration is wrong
	exitNotRun      = 3   // it could not be run, or not all of its output is here
	exitTimeout     = 124 // it was ended at its time limit
	exitInterrupted = 130 // somebody asked for its end
	exitKilled      = 137 // it was ended at a limit of memory or output, or killed
	exitBrokenPipe  = 141 // whoever read the output went away
)

// exitError carries an exit code. Without a cause nothing is printed: the program inside has said
// what there was to say.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// usageError is a command line that cannot be understood.
type usageError struct {
	err     error
	command string // for the pointer to its help; may be empty
}

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }

// usagef is a usageError found by a command itself.
func usagef(format string, args ...any) error { return usageError{err: fmt.Errorf(format, args...)} }

// localError is a usageError about a local path: what is wrong with it, and not which system call
// found out.
func localError(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return usagef("%s: %w", at.Path, at.Err)
	}
	return usagef("%w", err)
}

// hintError is an error with one sentence on what to do.
type hintError struct {
	err  error
	hint string
}

func (e hintError) Error() string { return e.err.Error() }

func (e hintError) Unwrap() error { return e.err }

// statusCode turns how a program ended into an exit code; own is the program's.
func statusCode(status sandgatev1.Status, own int32) int {
	switch status {
	case sandgatev1.Status_STATUS_TIMEOUT:
		return exitTimeout
	case sandgatev1.Status_STATUS_MEMORY, sandgatev1.Status_STATUS_KILLED, sandgatev1.Status_STATUS_OUTPUT_LIMIT:
		return exitKilled
	case sandgatev1.Status_STATUS_INTERRUPTED:
		return exitInterrupted
	case sandgatev1.Status_STATUS_OK:
		return int(own & 0xff)
	case sandgatev1.Status_STATUS_ERROR, sandgatev1.Status_STATUS_UNSPECIFIED:
	}
	if code := int(own & 0xff); code != 0 {
		return code
	}
	return exitFailed
}

// exitWith is nil for code zero, and an exitError otherwise.
func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return exitError{code: code}
}

// report prints an error as one or two lines and returns the exit code that says the same.
func (a *app) report(err error) int {
	code := exitCode(err)
	var exit exitError
	if code == 0 || code == exitBrokenPipe || (errors.As(err, &exit) && exit.err == nil) {
		return code
	}
	message, hint := explain(err)
	prefix := a.paint(a.err, "31", "sandgate:")
	_, _ = fmt.Fprintf(a.err, "%s %s\n", prefix, printable(message)) // nowhere else to report to
	if hint != "" {
		_, _ = fmt.Fprintf(a.err, "  %s\n", printable(hint))
	}
	return code
}

// exitCode chooses the exit code for an error.
func exitCode(err error) int {
	var exit exitError
	var usage usageError
	var problems config.Problems
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage), errors.As(err, &problems):
		return exitUsage
	case errors.Is(err, syscall.EPIPE) && !fromNetwork(err):
		return exitBrokenPipe
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitNotRun
	}
}

// fromNetwork reports whether an error is that of a call or a connection, and not of our own output.
func fromNetwork(err error) bool {
	_, call := errors.AsType[*connect.Error](err)
	_, network := errors.AsType[*net.OpError](err)
	return call || network
}

// explain says what failed and, where somebody knows, what to do.
func explain(err error) (message, hint string) {
	if hinted, ok := errors.AsType[hintError](err); ok {
		return err.Error(), hinted.hint
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		if usage.command != "" {
			hint = "`" + usage.command + " --help` explains it"
		}
		return err.Error(), hint
	}
	var wire *connect.Error
	if !errors.As(err, &wire) {
		return err.Error(), ""
	}
	for _, detail := range wire.Details() {
		value, valueErr := detail.Value()
		if known, ok := value.(*sandgatev1.ErrorDetail); ok && valueErr == nil {
			hint = known.GetHint()
		}
	}
	if connect.IsWireError(wire) && wire.Code() == connect.CodeCanceled {
		// We did not cancel: whoever does is told nothing, or that it was interrupted.
		return "the gateway was stopped while this ran; the session may be gone", hint
	}
	message = strings.Replace(err.Error(), wire.Error(), wire.Message(), 1)
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return explainCertificate(untrusted)
	}
	var netErr *net.OpError
	if hint == "" && errors.As(err, &netErr) && netErr.Op == "dial" {
		return "no gateway answers: " + message,
			"start one with `sandgate serve`, or name another with --server or SANDGATE_SERVER"
	}
	if hint == "" && !connect.IsWireError(wire) && wire.Code() != connect.CodeCanceled && wire.Code() != connect.CodeDeadlineExceeded {
		return "the gateway gave no proper answer: " + message,
			"it may have ended, or serve https where http was asked for (or the other way round): check --server or SANDGATE_SERVER"
	}
	return message, hint
}

// explainCertificate says why a gateway's certificate was refused.
func explainCertificate(err *tls.CertificateVerificationError) (message, hint string) {
	message = "the gateway's certificate is not trusted: " + err.Err.Error()
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return message, "name the gateway as its certificate does: check --server or SANDGATE_SERVER"
	}
	return message, "if it is yours, set SSL_CERT_FILE to a file with its certificate, or that of its issuer"
}

// printable makes text that comes from elsewhere safe for a terminal: whatever would move the
// cursor or colour the screen is shown instead of sent.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}
