package store

import (
	"context"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// TestErrors tells the reasons of what a workspace refuses and a sandbox does not.
func TestErrors(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{})
	for path, want := range map[string]struct {
		code   connect.Code
		reason string
	}{
		"/tmp/x": {connect.CodeFailedPrecondition, "NO_SANDBOX_YET"}, "/tmp": {connect.CodeFailedPrecondition, "NO_SANDBOX_YET"},
		"/etc/passwd": {connect.CodePermissionDenied, "OUTSIDE_HOME"}, "/tmpx": {connect.CodePermissionDenied, "OUTSIDE_HOME"},
		"/home": {connect.CodePermissionDenied, "WORKSPACE_ROOT"}, "/proc/1": {connect.CodePermissionDenied, "SYSTEM_PATH"},
		"no": {connect.CodeNotFound, "FILE_NOT_FOUND"}, "/home/user": {connect.CodeFailedPrecondition, "IS_A_DIRECTORY"},
	} {
		_, err := h.text(path)
		sandboxtest.WantError(t, err, want.code, want.reason)
	}
	_, err := h.ReadDocument(t.Context(), &sandgatev1.ReadDocumentRequest{Path: "no"})
	if connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("reading documents is the host's: %v", err)
	}
	res, err := h.ListFiles(t.Context(), &sandgatev1.ListFilesRequest{})
	if err != nil || len(res.GetFiles()) != 0 {
		t.Errorf("a new workspace: %v, %v", res, err)
	}
	stat, err := h.Stat(t.Context(), &sandgatev1.StatRequest{Path: "."})
	if err != nil || stat.GetFile().GetPath() != Home || stat.GetFile().GetMode() != 0o700 {
		t.Errorf("its home: %v, %v", stat, err)
	}
}

// TestUploadIsAlone does everything else while an upload has not ended, also with the file that it is about.
func TestUploadIsAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{Bytes: 10, Files: 4})
	h.put("d/f", "old")
	stream, err := h.Upload(t.Context())
	h.must(err)
	h.must(stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: "d/f"}}}))
	h.must(stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: []byte("new")}}))
	for h.w.Usage().Bytes < 6 { // until that is written
		if _, err := h.text("d/f"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := h.text("d/f"); got != "old" {
		t.Errorf("%q, %v", got, err)
	}
	res, err := h.ListFiles(t.Context(), &sandgatev1.ListFilesRequest{Depth: 9})
	if err != nil || len(res.GetFiles()) != 2 {
		t.Errorf("what is not whole is seen: %v, %v", res, err)
	}
	h.must(h.write("g", "1234"))
	sandboxtest.WantError(t, appendTo(h, "g", "5"), connect.CodeResourceExhausted, "WORKSPACE_FULL")
	h.must(moved(h, "g", "d/g"))
	h.must(h.remove("d/f"))
	_, err = stream.CloseAndReceive()
	h.must(err)
	if got, err := h.text("d/f"); got != "new" {
		t.Errorf("%q, %v", got, err)
	}
	h.settled()
	// A caller who leaves takes what was sent along.
	ctx, cancel := context.WithCancel(t.Context())
	stream, err = h.Upload(ctx)
	h.must(err)
	h.must(stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: "late"}}}))
	h.must(stream.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: []byte("xyz")}}))
	for h.w.Usage().Bytes < 10 {
		_, err := h.text("d/g")
		h.must(err)
	}
	cancel()
	for h.w.Usage().Bytes > 7 {
		_, err := h.text("d/g")
		h.must(err)
	}
	if _, err = stream.CloseAndReceive(); err == nil {
		t.Error("an upload whose caller left ended well")
	}
	h.settled()
}

// TestWatches sets as many watches as may be set, and one more.
func TestWatches(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{})
	watch := func() *connect.ServerStreamForClient[sandgatev1.WatchResponse] {
		stream, err := h.Watch(t.Context(), &sandgatev1.WatchRequest{})
		h.must(err)
		t.Cleanup(func() { _ = stream.Close() })
		return stream
	}
	first := watch()
	for set := first; ; set = watch() {
		if !set.Receive() {
			sandboxtest.WantError(t, set.Err(), connect.CodeResourceExhausted, "TOO_MANY_WATCHES")
			break
		}
		if set.Msg().GetReady() == nil {
			t.Fatalf("the first event is %v", set.Msg())
		}
	}
	if got := h.w.watches.Load(); got != maxWatchers {
		t.Errorf("%d watches, want %d", got, maxWatchers)
	}
	h.put("f", "x")
	if !first.Receive() || first.Msg().GetChange().GetPath() != Home+"/f" || first.Msg().GetChange().GetType() != sandgatev1.ChangeType_CHANGE_TYPE_CREATE {
		t.Errorf("%v, %v", first.Msg(), first.Err())
	}
}
