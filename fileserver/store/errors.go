package store

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

// advice is what a caller is told of an error of the system's. A guest tells the same.
type advice struct {
	code         connect.Code
	reason, hint string
}

func adviceOn(err error) advice {
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case is(fs.ErrNotExist):
		return advice{connect.CodeNotFound, "FILE_NOT_FOUND", "list the directory to see what exists"}
	case is(unix.ENOTEMPTY): // before the next one, which it also is
		return advice{connect.CodeFailedPrecondition, "DIRECTORY_NOT_EMPTY", "ask for recursive removal"}
	case is(fs.ErrExist):
		return advice{connect.CodeAlreadyExists, "FILE_EXISTS", "remove it first, or ask to overwrite it"}
	case is(fs.ErrPermission, unix.EROFS, unix.ETXTBSY):
		return advice{connect.CodePermissionDenied, "FILE_PERMISSION", "only /home/user and /tmp are writable"}
	case is(unix.ENOSPC, unix.EDQUOT, unix.EFBIG):
		return advice{connect.CodeResourceExhausted, "WORKSPACE_FULL", "remove files, or create a session with a larger workspace"}
	case is(unix.ENOTDIR):
		return advice{connect.CodeFailedPrecondition, "NOT_A_DIRECTORY", "a part of the path is a file"}
	case is(unix.EISDIR):
		return advice{connect.CodeFailedPrecondition, "IS_A_DIRECTORY", "name a file in it"}
	case is(unix.ENXIO, unix.EAGAIN):
		return advice{connect.CodeFailedPrecondition, "NOT_A_FILE", "only regular files can be read and written here"}
	case is(unix.ENAMETOOLONG, unix.ELOOP, unix.EINVAL, unix.EILSEQ):
		return advice{connect.CodeInvalidArgument, "BAD_PATH", "use a shorter path without loops or NUL bytes"}
	case is(unix.EBUSY, unix.EXDEV):
		return advice{connect.CodeFailedPrecondition, "FILE_BUSY", "copy it instead; it is, or leads out of, a mount"}
	case is(unix.ENOMEM, unix.EMFILE, unix.ENFILE):
		return advice{connect.CodeResourceExhausted, "SANDBOX_EXHAUSTED", "try again later"}
	}
	return advice{connect.CodeUnknown, "FILE_ERROR", "check the path"}
}

// fileError turns what the system said of a path into what a caller can act on. What else went wrong is told
// without its text, which might name a place of the host.
func fileError(path string, err error) error {
	if known, ok := errors.AsType[*connect.Error](err); ok {
		return known
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // which is not about the path
	}
	say := "it failed"
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		say = errno.Error()
	} else if at := (*fs.PathError)(nil); !errors.As(err, &at) {
		say = err.Error()
	}
	a := adviceOn(err)
	return fail(a.code, a.reason, a.hint, "%q: %s", path, say)
}

// exhausted returns an error that says that the gateway is short of something, and nil for any other.
func exhausted(err error) error {
	for _, short := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, short) {
			return err
		}
	}
	return nil
}
