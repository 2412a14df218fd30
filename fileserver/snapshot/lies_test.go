package snapshot_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
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
	for name, test := range map[string]struct {
		export func(ctx context.Context, send func([]byte) error) error
		code   connect.Code
	}{
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
