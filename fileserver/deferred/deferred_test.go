package deferred_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/fileserver"
	"github.com/sandgate/sandgate/fileserver/deferred"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a driver of deferred sandboxes over the fake one, which has the real guest.
type rig struct {
	*testing.T
	*deferred.Driver

	folder string
	fake   sandboxtest.Fake
	mu     sync.Mutex
	made   []sandbox.Sandbox // guarded by mu
	fail   error             // of what is made next; guarded by mu
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, folder: filepath.Join(t.TempDir(), "workspaces")}
	r.Driver = r.again()
	return r
}

// again returns another driver on the same folder, as after a crash.
func (r *rig) again() *deferred.Driver {
	r.Helper()
	d, err := deferred.New(deferred.Options{Driver: sandbox.DriverFunc(r.make), Folder: r.folder})
	if err != nil {
		r.Fatal(err)
	}
	return d
}

func (r *rig) make(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return nil, r.fail
	}
	made, err := r.fake.Create(ctx, spec)
	if err == nil {
		r.made = append(r.made, made)
	}
	return made, err
}

func (r *rig) failing(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

func (r *rig) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.made)
}

// session is a deferred sandbox as the services see it.
type session struct {
	*rig
	sandbox.Sandbox
	*fileserver.Files

	process sandgatev1connect.ProcessServiceClient
}

// Sandbox finds it by any name.
func (s *session) find(context.Context, string) (sandbox.Sandbox, error) { return s.Sandbox, nil }

type finder func(context.Context, string) (sandbox.Sandbox, error)

func (f finder) Sandbox(ctx context.Context, id string) (sandbox.Sandbox, error) { return f(ctx, id) }

func (r *rig) session() *session {
	r.Helper()
	box, err := r.Create(r.Context(), sandbox.Spec{Template: "python", Runtime: "runc", Deferred: true})
	if err != nil {
		r.Fatal(err)
	}
	return r.sessionOf(box)
}

func (r *rig) sessionOf(box sandbox.Sandbox) *session {
	r.Cleanup(func() {
		if err := box.Close(context.Background()); err != nil {
			r.Error(err)
		}
	})
	s := &session{rig: r, Sandbox: box}
	s.Files = fileserver.New(finder(s.find))
	s.process = sandgatev1connect.NewProcessServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(1<<20)...)
	return s
}

func (s *session) write(path, text string) {
	s.Helper()
	if err := s.tryWrite(path, text); err != nil {
		s.Fatal(err)
	}
}

func (s *session) tryWrite(path, text string) error {
	_, err := s.Write(s.Context(), &sandgatev1.WriteRequest{Path: path, Content: &sandgatev1.WriteRequest_Text{Text: text}})
	return err
}

func (s *session) read(path string) string {
	s.Helper()
	res, err := s.Read(s.Context(), &sandgatev1.ReadRequest{Path: path})
	if err != nil {
		s.Fatal(err)
	}
	return res.GetText()
}

// run has the shell do something and returns what it printed.
func (s *session) run(command string) (string, error) {
	ctx := guestrpc.WithSandbox(s.Context(), s.Sandbox)
	stream, err := s.process.Shell(ctx, &sandgatev1.ShellRequest{Command: command})
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	var out strings.Builder
	for stream.Receive() {
		out.Write(stream.Msg().GetStdout().GetData())
	}
	return out.String(), stream.Err()
}

func (s *session) mustRun(command string) string {
	s.Helper()
	out, err := s.run(command)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func TestFilesMoveIntoTheSandbox(t *testing.T) {
	s := newRig(t).session()
	s.write("notes/plan.txt", "one")
	s.write("gone", "x")
	if _, err := s.Remove(t.Context(), &sandgatev1.RemoveRequest{Path: "gone"}); err != nil { // an empty answer
		t.Fatal(err)
	}
	s.write("big", strings.Repeat("0123456789abcdef", 1<<16))
	if got := s.read("/home/user/notes/plan.txt"); got != "one" || s.count() != 0 {
		t.Fatalf("%q, and %d sandboxes were made", got, s.count())
	}
	if meter, ok := s.Sandbox.(sandbox.Meter); !ok {
		t.Errorf("%T", s.Sandbox)
	} else if _, err := meter.Usage(t.Context()); err == nil {
		t.Error("what is not there uses something, from which a sandbox of a pool would be counted")
	}
	if got := s.mustRun("cat notes/plan.txt; wc -c < big; echo two > notes/more"); got != "one1048576\n" {
		t.Errorf("%q", got)
	}
	if got := s.read("notes/more"); got != "two\n" || s.count() != 1 {
		t.Errorf("%q, %d", got, s.count())
	}
	if left, err := filepath.Glob(filepath.Join(s.folder, "*", "files", "*")); err != nil || len(left) != 0 {
		t.Errorf("the files are in two places: %v, %v", left, err)
	}
	made := s.made[0]
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(s.folder); len(left) != 0 || !errors.Is(made.Err(), sandbox.ErrClosed) || !errors.Is(s.Err(), sandbox.ErrClosed) {
		t.Errorf("left: %v, %v, %v", left, made.Err(), s.Err())
	}
}

// TestNothingIsLostInTheMove writes all the time while the files move: what was acknowledged is there.
func TestNothingIsLostInTheMove(t *testing.T) {
	s := newRig(t).session()
	var work sync.WaitGroup
	var written atomic.Int64
	stop := make(chan struct{})
	for w := range 8 {
		work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.tryWrite(fmt.Sprintf("%d/%d", w, i), "x"); err != nil {
					t.Error(err)
					return
				}
				written.Add(1)
			}
		})
	}
	for written.Load() < 100 {
		runtime.Gosched()
	}
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() {
			if out, err := s.run("echo here"); err != nil || out != "here\n" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	starts.Wait()
	for after := written.Load(); written.Load() < after+100; {
		runtime.Gosched()
	}
	close(stop)
	work.Wait()
	if got := s.mustRun("find . -type f | wc -l"); strings.TrimSpace(got) != fmt.Sprint(written.Load()) || s.count() != 1 {
		t.Errorf("%s files of %d, %d sandboxes", got, written.Load(), s.count())
	}
}

func TestNoSandboxCanBeMade(t *testing.T) {
	s := newRig(t).session()
	s.write("kept", "still here")
	for _, failure := range []error{sandbox.ErrUnavailable, errors.New("boom")} {
		s.failing(fmt.Errorf("no room: %w", failure))
		if out, err := s.run("echo ran"); err == nil || out != "" {
			t.Errorf("%q, %v", out, err)
		}
	}
	if got := s.read("kept"); got != "still here" || s.Err() != nil {
		t.Errorf("%q, %v", got, s.Err())
	}
	s.failing(nil)
	if got := s.mustRun("cat kept"); got != "still here" {
		t.Errorf("%q", got)
	}
}

func TestTheSandboxDies(t *testing.T) {
	s := newRig(t).session()
	s.mustRun("true")
	if err := s.made[0].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.tryWrite("x", "y"); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("%v", err)
	}
}

func TestWatchEndsWithTheMove(t *testing.T) {
	s := newRig(t).session()
	s.write("d/old", "x")
	ready, over := make(chan struct{}), make(chan error, 1)
	go func() {
		over <- s.Watch(t.Context(), &sandgatev1.WatchRequest{Path: "d"}, func(event *sandgatev1.WatchResponse) error {
			if event.GetReady() != nil {
				close(ready)
			}
			return nil
		})
	}()
	<-ready
	s.mustRun("true")
	if err := <-over; err == nil {
		t.Error("a watch of what has moved goes on")
	}
}

// TestAnotherGatewayGoesOn is what is left by one that was killed, in each state that it can be in.
func TestAnotherGatewayGoesOn(t *testing.T) {
	r := newRig(t)
	files, moved, gone, unwanted := r.session(), r.session(), r.session(), r.session()
	for _, s := range []*session{files, moved, gone, unwanted} {
		s.write("f", "of "+s.ID())
	}
	moved.mustRun("echo more >> f")
	gone.mustRun("true")
	if err := os.Mkdir(filepath.Join(r.folder, "deferred-halfmade"), 0o700); err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{files.ID(): true, moved.ID(): true, gone.ID(): true, "deferred-halfmade": true}
	next := r.again()
	boxes, err := next.Reconcile(t.Context(), func(id string) bool { return wanted[id] }, func(keep func(string) bool) ([]sandbox.Sandbox, error) {
		if !keep(r.made[0].ID()) || keep("somebody else's") {
			t.Error("the wrong sandboxes are kept")
		}
		return []sandbox.Sandbox{r.made[0]}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]sandbox.Sandbox{}
	for _, box := range boxes {
		found[box.ID()] = box
	}
	if len(found) != 2 || found[files.ID()] == nil || found[moved.ID()] == nil {
		t.Fatalf("%v", found)
	}
	if got := r.sessionOf(found[files.ID()]).read("f"); got != "of "+files.ID() {
		t.Errorf("%q", got)
	}
	if got := r.sessionOf(found[moved.ID()]).read("f"); got != "of "+moved.ID()+"more\n" {
		t.Errorf("%q", got)
	}
	left, err := os.ReadDir(r.folder)
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestEngineIsAway is a start that cannot succeed: it must not cost anybody's files.
func TestEngineIsAway(t *testing.T) {
	r := newRig(t)
	s := r.session()
	s.write("f", "kept")
	boxes, err := r.again().Reconcile(t.Context(), func(string) bool { return true }, func(func(string) bool) ([]sandbox.Sandbox, error) {
		return nil, sandbox.ErrUnavailable
	})
	for _, box := range boxes { // as whoever cannot begin does
		if err := box.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.read("f"); got != "kept" || !errors.Is(err, sandbox.ErrUnavailable) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestClosedWhileItIsMade closes a box whose sandbox is being made: none is left, whenever that comes.
func TestClosedWhileItIsMade(t *testing.T) {
	r := newRig(t)
	begun, made := make(chan struct{}), make(chan sandbox.Sandbox, 1)
	slow, err := deferred.New(deferred.Options{Folder: r.folder, Driver: sandbox.DriverFunc(func(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
		close(begun)
		<-ctx.Done() // and yet it comes
		one, err := r.make(context.WithoutCancel(ctx), spec)
		made <- one
		return one, err
	})})
	if err != nil {
		t.Fatal(err)
	}
	box, err := slow.Create(t.Context(), sandbox.Spec{Template: "python", Runtime: "runc"})
	if err != nil {
		t.Fatal(err)
	}
	s := r.sessionOf(box)
	over := make(chan error, 1)
	go func() {
		_, err := s.run("true")
		over <- err
	}()
	<-begun
	if err := box.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if one := <-made; !errors.Is(one.Err(), sandbox.ErrClosed) {
		t.Errorf("a sandbox is left: %v", one.Err())
	}
	if err := <-over; err == nil {
		t.Error("something ran")
	}
	if left, err := os.ReadDir(r.folder); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// BenchmarkIdle is what a session costs that has some files and no sandbox.
func BenchmarkIdle(b *testing.B) {
	d, err := deferred.New(deferred.Options{Driver: &sandboxtest.Fake{}, Folder: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	const many = 10_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		boxes := make([]sandbox.Sandbox, many)
		for i := range boxes {
			if boxes[i], err = d.Create(b.Context(), sandbox.Spec{Template: "python", Runtime: "runc"}); err != nil {
				b.Fatal(err)
			}
			files := fileserver.New(finder(func(context.Context, string) (sandbox.Sandbox, error) { return boxes[i], nil }))
			if _, err := files.Write(b.Context(), &sandgatev1.WriteRequest{Path: "f", Content: &sandgatev1.WriteRequest_Text{Text: "x"}}); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/many, "bytes/session")
		b.StopTimer()
		for _, box := range boxes {
			if err := box.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
	}
}

// TestEarlyRefusals sends much more than is taken: the refusal comes, and the session goes on.
func TestEarlyRefusals(t *testing.T) {
	s := newRig(t).session()
	sent := 0
	_, err := s.Import(t.Context(), func() (*sandgatev1.ImportRequest, error) {
		sent++
		if sent == 1 {
			return &sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Header{Header: &sandgatev1.ImportHeader{}}}, nil
		}
		if sent > 1000 {
			return nil, io.EOF
		}
		return &sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Data{Data: []byte(strings.Repeat("this is no archive ", 4000))}}, nil
	})
	if connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("%v", err)
	}
	sent = 0
	_, err = s.Upload(t.Context(), func() (*sandgatev1.UploadRequest, error) {
		sent++
		if sent == 1 {
			return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: "a/b"}}}, nil
		}
		return &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: make([]byte, 1<<20)}}, nil // without end
	})
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("%v", err)
	}
	if got := s.mustRun("ls -A"); got != "" && got != "a\n" {
		t.Errorf("%q", got)
	}
}

// TestSlowReadersDoNotHoldUpTheMove has somebody take a file who takes no more of it.
func TestSlowReadersDoNotHoldUpTheMove(t *testing.T) {
	s := newRig(t).session()
	s.write("big", strings.Repeat("0123456789abcdef", 1<<18))
	begun, over := make(chan struct{}), make(chan error, 1)
	moved := make(chan struct{})
	go func() {
		first := true
		over <- s.Download(t.Context(), &sandgatev1.DownloadRequest{Path: "big"}, func(*sandgatev1.DownloadResponse) error {
			if first {
				first = false
				close(begun)
				<-moved
			}
			return nil
		})
	}()
	<-begun
	if got := s.mustRun("wc -c < big"); got != "4194304\n" {
		t.Errorf("%q", got)
	}
	close(moved)
	if err := <-over; connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("the download ended with %v", err)
	}
}
