// Package library serves a folder of the operator's to every session, read-only: what is in it is read, listed and
// searched under /libraries as the files of a session are, and copied into a session on demand. Nothing of it is
// inside a sandbox.
package library

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/fileserver/store"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/loopback"
)

// Root is the directory that callers know the folder by. Each directory in it is a library.
const Root = "/libraries"

// maxRequestBytes bounds one request: the gateway has bounded it before.
const maxRequestBytes = 1 << 20

// Library is the folder as a sandbox in which nothing runs: its transport serves FileService, as far as that reads. Its
// methods may be called by any number of goroutines.
type Library struct {
	files *store.Workspace
	log   *slog.Logger
	over  http.RoundTripper
}

// Open opens a folder. What the operator changes in it is seen at once.
func Open(folder string, log *slog.Logger) (*Library, error) {
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return nil, fmt.Errorf("the folder of libraries: %w", err)
	}
	files, err := store.OpenFixed(folder, Root)
	if err != nil {
		return nil, fmt.Errorf("the folder of libraries: %w", err)
	}
	l := &Library{files: files, log: log}
	_, handler := sandgatev1connect.NewFileServiceHandler(files, connect.WithReadMaxBytes(maxRequestBytes),
		connect.WithInterceptors(readOnly{}), connect.WithRecover(l.recovered))
	l.over = transport{&loopback.Client{Handler: handler}}
	return l, nil
}

// Names returns the libraries, and what is in the folder that cannot be one: symbolic links, which are followed only as
// far as they stay in the folder, and files.
func Names(folder string) (libraries, others []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil, fmt.Errorf("the folder of libraries: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			libraries = append(libraries, entry.Name())
		} else {
			others = append(others, filepath.Join(folder, entry.Name()))
		}
	}
	return libraries, others, nil
}

// ID names it in logs.
func (l *Library) ID() string { return "libraries" }

// Spec is that of no sandbox.
func (l *Library) Spec() sandbox.Spec { return sandbox.Spec{} }

// Transport carries requests to the folder.
func (l *Library) Transport() http.RoundTripper { return l.over }

// Done is never closed: a library does not end.
func (l *Library) Done() <-chan struct{} { return nil }

// Err is nil.
func (l *Library) Err() error { return nil }

// Close does nothing: a library is no session's.
func (l *Library) Close(context.Context) error { return nil }

// transport is a client as a transport.
type transport struct{ client *loopback.Client }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) { return t.client.Do(req) }

// recovered is what the caller of a call that panicked is told. The log has the rest.
func (l *Library) recovered(_ context.Context, call connect.Spec, _ http.Header, value any) error {
	l.log.Error("a call about a library panicked", "call", call.Procedure, "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
	return connect.NewError(connect.CodeInternal, errors.New("the file server failed"))
}

// readOnly lets calls through that only read.
type readOnly struct{}

// refused returns the error for a call that may change something, nil for others.
func refused(procedure string) error {
	switch procedure {
	case sandgatev1connect.FileServiceReadProcedure, sandgatev1connect.FileServiceListFilesProcedure,
		sandgatev1connect.FileServiceStatProcedure, sandgatev1connect.FileServiceGlobProcedure,
		sandgatev1connect.FileServiceGrepProcedure, sandgatev1connect.FileServiceTreeProcedure,
		sandgatev1connect.FileServiceHashProcedure, sandgatev1connect.FileServiceDiffProcedure,
		sandgatev1connect.FileServiceDownloadProcedure, sandgatev1connect.FileServiceExportProcedure:
		return nil
	}
	return guestrpc.NewError(connect.CodePermissionDenied, errors.New("libraries can only be read"), "READ_ONLY",
		"Copy it to /home/user with file_copy, and work on the copy.")
}

func (readOnly) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if err := refused(req.Spec().Procedure); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

func (readOnly) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (readOnly) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if err := refused(conn.Spec().Procedure); err != nil {
			return err
		}
		return next(ctx, conn)
	}
}

var _ sandbox.Sandbox = (*Library)(nil)
