package snapshot_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// liar is a guest that sends what a test says instead of its files.
type liar struct {
	sandgatev1connect.UnimplementedFileServiceHandler

	export func(ctx context.Context, send func([]byte) error) error
}

func (l liar) Export(ctx context.Context, _ *sandgatev1.ExportRequest, stream *connect.ServerStream[sandgatev1.ExportResponse]) error {
	return l.export(ctx, func(data []byte) error { return stream.Send(&sandgatev1.ExportResponse{Data: data}) })
}

// lying makes a session of a liar.
func (r *rig) lying(id string, export func(ctx context.Context, send func([]byte) error) error) string {
	r.Helper()
	_, handler := sandgatev1connect.NewFileServiceHandler(liar{export: export})
	r.boxes[id] = sandboxtest.Serve(r.T, handler)
	return id
}

// TestSlowSandboxes drip: each loses its patience, and keeps no other tenant from his.
func TestSlowSandboxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		drip := func(ctx context.Context, send func([]byte) error) error {
			for ctx.Err() == nil {
				if err := send([]byte("x")); err != nil {
					return err
				}
				select {
				case <-time.After(30 * time.Second):
				case <-ctx.Done():
				}
			}
			return ctx.Err()
		}
		slow, ends := []string{}, make(chan error, 20)
		for i := range 20 {
			slow = append(slow, r.lying(string(rune('a'+i)), drip))
		}
		for _, session := range slow {
			go func() {
				_, err := r.CreateCheckpoint(t.Context(), &sandgatev1.CreateCheckpointRequest{SessionId: session})
				ends <- err
			}()
		}
		synctest.Wait()
		other := r.lying("other", func(_ context.Context, send func([]byte) error) error { return send(make([]byte, 1024)) })
		begun := time.Now()
		if _, err := r.CreateCheckpoint(context.WithValue(t.Context(), tenantKey{}, "quiet"), &sandgatev1.CreateCheckpointRequest{SessionId: other}); err != nil {
			t.Error(err)
		}
		if waited := time.Since(begun); waited > time.Second {
			t.Errorf("another tenant waited for %v", waited)
		}
		for range slow {
			sandboxtest.WantError(t, <-ends, connect.CodeDeadlineExceeded, "SANDBOX_SLOW")
		}
		if r.room.of("acme") != 0 {
			t.Errorf("%d bytes are held", r.room.of("acme"))
		}
	})
}

// TestSandboxesThatLie send what is no archive, no end, or an end too soon.
func TestSandboxesThatLie(t *testing.T) {
	zeros := make([]byte, 64<<10)
	holes := gnuSparse("hole", 1<<62)
	for name, test := range map[string]struct {
		export func(ctx context.Context, send func([]byte) error) error
		code   connect.Code
	}{
		"holes without bound": {func(_ context.Context, send func([]byte) error) error { return send(holes) }, connect.CodeInternal},
		"no archive": {func(_ context.Context, send func([]byte) error) error {
			return send([]byte("this is no archive at all"))
		}, connect.CodeInternal},
		"an error after some": {func(_ context.Context, send func([]byte) error) error {
			return errors.Join(send(make([]byte, 1024)), errors.New("no more"))
		}, connect.CodeInternal},
		"no end": {func(_ context.Context, send func([]byte) error) error {
			for {
				if err := send(zeros); err != nil {
					return err
				}
			}
		}, connect.CodeFailedPrecondition},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.room.limit = 2 << 30
			session := r.lying("liar", test.export)
			_, err := r.CreateCheckpoint(t.Context(), &sandgatev1.CreateCheckpointRequest{SessionId: session})
			if connect.CodeOf(err) != test.code || r.room.of("acme") != 0 {
				t.Errorf("%v, %d bytes are held", err, r.room.of("acme"))
			}
		})
	}
}

// TestNamesThatAreNoText cannot keep anybody from going back.
func TestNamesThatAreNoText(t *testing.T) {
	r := newRig(t)
	session := r.live("ses_1")
	r.write(session, "f", "one")
	r.run(session, `printf two > "$(printf 'old\377')"`)
	r.checkpoint(session)
	r.run(session, `echo x > "$(printf 'new\377')"; rm "$(printf 'old\377')"; echo three > f`)
	res, err := r.Undo(t.Context(), &sandgatev1.UndoRequest{SessionId: session})
	if err != nil || res.GetUnnamed() != 1 || res.GetAdded() != 1 || r.read(session, "f") != "one" {
		t.Fatalf("%v, %v", res, err)
	}
	r.run(session, `test "$(cat "$(printf 'old\377')")" = two`)
}

// gnuSparse is an archive in GNU's own format of a file that is nothing but a hole.
func gnuSparse(name string, size int64) []byte {
	block := make([]byte, 3*512) // a header, and the end
	copy(block, name)
	copy(block[100:], "0000644\x00")
	copy(block[124:], "00000000000\x00") // bytes that follow
	copy(block[136:], "00000000000\x00")
	block[156] = 'S'
	copy(block[257:], "ustar  \x00")
	block[483] = 0x80 // the real size, in base 256
	for i := range 8 {
		block[483+11-i] = byte(size >> (8 * i))
	}
	copy(block[148:], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return block
}

// TestDeletedTwice gives the room of a workspace back once, whoever deletes it and however many.
func TestDeletedTwice(t *testing.T) {
	r := newRig(t)
	session := r.local("ses_1")
	for range 200 {
		if _, err := r.SaveWorkspace(t.Context(), &sandgatev1.SaveWorkspaceRequest{SessionId: session, Name: "w"}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				_, err := r.DeleteWorkspace(t.Context(), &sandgatev1.DeleteWorkspaceRequest{Name: "w"})
				if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			_, _ = r.SaveWorkspace(t.Context(), &sandgatev1.SaveWorkspaceRequest{SessionId: session, Name: "w"})
		})
		all.Wait()
	}
	_, _ = r.DeleteWorkspace(t.Context(), &sandgatev1.DeleteWorkspaceRequest{Name: "w"})
	if used := r.room.of("acme"); used != 0 {
		t.Errorf("%d bytes are held", used)
	}
}

// TestUndoOfLinks brings one of two names of a file back.
func TestUndoOfLinks(t *testing.T) {
	r := newRig(t)
	session := r.local("ses_1")
	archive := archiveOf(t, tar.Header{Name: "f1", Typeflag: tar.TypeReg, Mode: 0o644}, tar.Header{Name: "f2", Typeflag: tar.TypeLink, Linkname: "f1"})
	if there, err := r.store.Fill(t.Context(), r.boxes[session], "acme", "none"); there || err != nil {
		t.Fatal(there, err)
	}
	r.unpack(session, archive)
	r.checkpoint(session)
	r.remove(session, "f1")
	r.remove(session, "f2")
	r.write(session, "f1", "B")
	r.write(session, "f2", "C")
	if _, err := r.Undo(t.Context(), &sandgatev1.UndoRequest{SessionId: session, Paths: []string{"f2"}}); err != nil || r.read(session, "f2") != "f1" || r.read(session, "f1") != "B" {
		t.Errorf("%v, %q and %q", err, r.read(session, "f2"), r.read(session, "f1"))
	}
}

// TestUndoInClosedDirectories brings back what is in directories that their owner has closed since, in both homes.
func TestUndoInClosedDirectories(t *testing.T) {
	for _, released := range []bool{false, true} {
		t.Run(fmt.Sprint("released ", released), func(t *testing.T) {
			r := newRig(t)
			session := r.local("ses_1")
			r.run(session, "mkdir -p ro/deep; echo old > ro/deep/f; echo kept > keep; chmod 555 ro/deep")
			r.checkpoint(session)
			r.run(session, "chmod 755 ro/deep; echo new > ro/deep/f; touch ro/deep/more ro/top; rm keep; chmod 0 ro/deep/f; chmod 500 ro/deep; chmod 0 ro")
			releaser, ok := r.boxes[session].(sandbox.Releaser)
			if !ok {
				t.Fatalf("%T", r.boxes[session])
			}
			if released {
				if err := releaser.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session, NoDiffs: true}); got != "D keep\nM ro\nM ro/deep\nM ro/deep/f\nA ro/deep/more\nA ro/top" {
				t.Errorf("%s", got)
			}
			if _, err := r.Undo(t.Context(), &sandgatev1.UndoRequest{SessionId: session, Paths: []string{"ro/deep/more"}}); err != nil {
				t.Error(err)
			}
			// What is not asked for is as it was, the modes of the directories on the way too.
			if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session, NoDiffs: true}); got != "D keep\nM ro\nM ro/deep\nM ro/deep/f\nA ro/top" {
				t.Errorf("after a part: %s", got)
			}
			if _, err := r.Undo(t.Context(), &sandgatev1.UndoRequest{SessionId: session}); err != nil {
				t.Error(err)
			}
			if got := r.changed(&sandgatev1.GetChangesRequest{SessionId: session}); got != "" {
				t.Errorf("%s", got)
			}
			if releaser.Made() == released {
				t.Error("it was not where it was to be")
			}
		})
	}
}

// unpack has a session unpack an archive.
func (r *rig) unpack(session string, archive []byte) {
	r.Helper()
	parts := []*sandgatev1.ImportRequest{
		{Part: &sandgatev1.ImportRequest_Header{Header: &sandgatev1.ImportHeader{SessionId: session}}},
		{Part: &sandgatev1.ImportRequest_Data{Data: archive}},
	}
	_, err := r.files.Import(r.Context(), func() (*sandgatev1.ImportRequest, error) {
		if len(parts) == 0 {
			return nil, io.EOF
		}
		part := parts[0]
		parts = parts[1:]
		return part, nil
	})
	if err != nil {
		r.Fatal(err)
	}
}

// archiveOf makes an archive of headers; a file holds its own name.
func archiveOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range headers {
		if header.Typeflag == tar.TypeReg {
			header.Size = int64(len(header.Name))
		}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			_, _ = w.Write([]byte(header.Name))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
