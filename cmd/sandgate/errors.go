package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

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

// retold is an error in other words.
type retold struct {
	message string
	err     error
}

func (e retold) Error() string { return e.message }

func (e retold) Unwrap() error { return e.err }

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
	case errors.As(err, &usage), errors.As(err, &problems), refusedAsWrong(err):
		return exitUsage
	case errors.Is(err, syscall.EPIPE) && !fromNetwork(err):
		return exitBrokenPipe
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitNotRun
	}
}

// refusedAsWrong reports whether a gateway refused a request for what it says: arguments of ours that
// cannot be. A request that came broken over the wire was not written by anybody.
func refusedAsWrong(err error) bool {
	wire, ok := errors.AsType[*connect.Error](err)
	return ok && connect.IsWireError(wire) && wire.Code() == connect.CodeInvalidArgument && errorReason(err) != "REQUEST_BROKEN"
}

// fromNetwork reports whether an error is that of a call or a connection, and not of our own output.
func fromNetwork(err error) bool {
	_, call := errors.AsType[*connect.Error](err)
	_, network := errors.AsType[*net.OpError](err)
	return call || network
}
