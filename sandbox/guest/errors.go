package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// fail makes an error for the caller: a code, a reason for programs, and a hint on what to do.
func fail(code connect.Code, reason, hint, format string, args ...any) *connect.Error {
	err := connect.NewError(code, fmt.Errorf(format, args...))
	if detail, detailErr := connect.NewErrorDetail(&sandgatev1.ErrorDetail{Reason: reason, Hint: hint}); detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}

// errnoText returns what the system said, without the path that Go puts before it.
func errnoText(err error) string {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// fileError turns what the system said of a path into what a caller can act on.
func fileError(path string, err error) error {
	if known, ok := errors.AsType[*connect.Error](err); ok {
		return known
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // which is not about the path
	}
	code, reason, hint := connect.CodeUnknown, "FILE_ERROR", "check the path"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code, reason, hint = connect.CodeNotFound, "FILE_NOT_FOUND", "list the directory to see what exists"
	case errors.Is(err, unix.ENOTEMPTY): // which is also fs.ErrExist
		code, reason, hint = connect.CodeFailedPrecondition, "DIRECTORY_NOT_EMPTY", "ask for recursive removal"
	case errors.Is(err, fs.ErrExist):
		code, reason, hint = connect.CodeAlreadyExists, "FILE_EXISTS", "remove it first, or ask to overwrite it"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS), errors.Is(err, unix.ETXTBSY):
		code, reason, hint = connect.CodePermissionDenied, "FILE_PERMISSION", "only /home/user and /tmp are writable"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EFBIG):
		code, reason, hint = connect.CodeResourceExhausted, "WORKSPACE_FULL", "remove files, or create a session with a larger workspace"
	case errors.Is(err, unix.ENOTDIR):
		code, reason, hint = connect.CodeFailedPrecondition, "NOT_A_DIRECTORY", "a part of the path is a file"
	case errors.Is(err, unix.EISDIR):
		code, reason, hint = connect.CodeFailedPrecondition, "IS_A_DIRECTORY", "name a file in it"
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.EAGAIN):
		code, reason, hint = connect.CodeFailedPrecondition, "NOT_A_FILE", "only regular files can be read and written here"
	case errors.Is(err, unix.ENAMETOOLONG), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EINVAL):
		code, reason, hint = connect.CodeInvalidArgument, "BAD_PATH", "use a shorter path without loops or NUL bytes"
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EXDEV):
		code, reason, hint = connect.CodeFailedPrecondition, "FILE_BUSY", "copy it instead; it is, or leads out of, a mount"
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		code, reason, hint = connect.CodeResourceExhausted, "SANDBOX_EXHAUSTED", "end some of the session's processes"
	}
	return fail(code, reason, hint, "%q: %s", path, errnoText(err))
}
