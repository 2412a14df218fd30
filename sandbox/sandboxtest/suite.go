// Package sandboxtest holds the behaviour suite that every sandbox.Driver passes, and a driver
// without an engine for the tests of what stands on sandboxes.
package sandboxtest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guest/health"
)

// Suite says what is tested and what can be expected of it.
type Suite struct {
	// Driver makes the sandboxes. The suite closes them.
	Driver sandbox.Driver
	// Spec is what to make. Its limits' defaults are filled in by the suite.
	Spec sandbox.Spec
	// Python tells whether the sandboxes have kernels.
	Python bool
	// Isolated tells whether limits and users are real. Without it the cases that only a wall can
	// pass are left out.
	Isolated bool
}

// suiteCase is one case of the suite.
type suiteCase struct {
	name string
	when bool
	run  func(*subject)
}

// Run runs every case as a subtest.
func (s Suite) Run(t *testing.T) {
	t.Helper()
	s.run(t, s.cases())
}

// RunFiles runs the cases of files that are not excepted, for a place that serves FileService and keeps no sandbox.
func (s Suite) RunFiles(t *testing.T, except ...string) {
	t.Helper()
	cases := slices.DeleteFunc(s.cases(), func(c suiteCase) bool {
		return !strings.HasPrefix(c.name, "files/") || slices.Contains(except, c.name)
	})
	s.run(t, cases)
}

// cases returns every case. To add one, write a method of subject and name it in this list.
func (s Suite) cases() []suiteCase {
	return []suiteCase{
		{"lifecycle", true, (*subject).lifecycle},
		{"shell", true, (*subject).shell},
		{"shell/timeout kills daemons", true, (*subject).shellTimeout},
		{"shell/caller leaves", true, (*subject).shellCancel},
		{"shell/long output is kept", true, (*subject).shellSpool},
		{"process/output resumes from an offset", true, (*subject).processResume},
		{"process/stdin", true, (*subject).processStdin},
		{"process/terminal", true, (*subject).processTerminal},
		{"process/signals reach everything it started", true, (*subject).processSignal},
		{"files/round trip", true, (*subject).filesRoundTrip},
		{"files/edit", true, (*subject).filesEdit},
		{"files/what is no file", true, (*subject).filesOdd},
		{"files/list in pages", true, (*subject).filesList},
		{"files/list odd names", true, (*subject).filesListOdd},
		{"files/views into the kernel", true, (*subject).filesViews},
		{"files/what stays", true, (*subject).filesStay},
		{"files/remove deep", true, (*subject).filesDeep},
		{"files/remove what is closed", true, (*subject).filesClosed},
		{"files/remove against a racer", true, (*subject).filesRaced},
		{"files/a locked home", true, (*subject).homeLocked},
		{"files/lines", true, (*subject).filesLines},
		{"files/glob", true, (*subject).filesGlob},
		{"files/grep", true, (*subject).filesGrep},
		{"files/grep what is large", true, (*subject).filesGrepHuge},
		{"files/tree", true, (*subject).filesTree},
		{"files/copy", true, (*subject).filesCopy},
		{"files/copy more than there is room for", s.Isolated, (*subject).filesCopyFull},
		{"files/hash", true, (*subject).filesHash},
		{"files/diff", true, (*subject).filesDiff},
		{"files/patch", true, (*subject).filesPatch},
		{"files/patch as a whole or not at all", true, (*subject).filesPatchFails},
		{"files/patch more than there is room for", s.Isolated, (*subject).filesPatchFull},
		{"files/watch", true, (*subject).filesWatch},
		{"files/upload and download", true, (*subject).filesTransfer},
		{"files/export and import", true, (*subject).filesExport},
		{"files/import what is hostile", true, (*subject).filesImport},
		{"tunnel/both ways", true, (*subject).tunnels},
		{"python/state", s.Python, (*subject).pythonState},
		{"python/outcomes", s.Python, (*subject).pythonOutcomes},
		{"python/interrupt", s.Python, (*subject).pythonInterrupt},
		{"python/interrupt storm", s.Python, (*subject).pythonInterruptStorm},
		{"python/timeout", s.Python, (*subject).pythonTimeout},
		{"python/threads that go on", s.Isolated && s.Python, (*subject).pythonThreads},
		{"python/split", s.Python, (*subject).pythonSplit},
		{"python/damaged", s.Python, (*subject).pythonDamaged},
		{"python/contexts", s.Python, (*subject).pythonContexts},
		{"python/contexts from the reserve", s.Isolated && s.Python, (*subject).pythonReserve},
		{"python/planted files", s.Isolated && s.Python, (*subject).planted},
		{"python/many calls", s.Isolated && s.Python, (*subject).manyCalls},
		{"python/output", s.Python, (*subject).pythonOutput},
		{"python/hostile", s.Python, (*subject).pythonHostile},
		{"python/forged results", s.Isolated && s.Python, (*subject).pythonForged},
		{"python/no working directory", s.Isolated && s.Python, (*subject).pythonNowhere},
		{"python/what no program can be given", s.Python, (*subject).pythonTexts},
		{"python/displays", s.Python, (*subject).pythonDisplays},
		{"limits/processes", s.Isolated && s.Python, (*subject).limitProcesses},
		{"limits/zombies", s.Isolated && s.Python, (*subject).limitZombies},
		{"limits/a stopper", s.Isolated && s.Python, (*subject).stopper},
		{"limits/memory", s.Isolated && s.Python, (*subject).limitMemory},
		{"limits/files", s.Isolated && s.Python, (*subject).limitFiles},
		{"limits/files by calls", s.Isolated && s.Python, (*subject).limitFilesByCalls},
		{"limits/disk", s.Isolated, (*subject).limitDisk},
		{"limits/storms", s.Isolated && s.Python, (*subject).storms},
		{"limits/sockets that nobody reads", s.Isolated && s.Python, (*subject).unreadSockets},
		{"wall", s.Isolated, (*subject).wall},
	}
}

func (s Suite) run(t *testing.T, cases []suiteCase) {
	t.Helper()
	s.Spec.Limits = s.Spec.Limits.WithDefaults()
	shared := s.make(t)
	for _, c := range cases {
		if !c.when {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			select {
			case <-shared.Done(): // the case before broke it: the next ones still tell something
				t.Logf("the shared sandbox was lost: %v", shared.Err())
				shared = s.make(t)
			default:
			}
			c.run(newSubject(t, s, shared))
		})
	}
}

// make returns a sandbox that is closed at the end of the test.
func (s Suite) make(t *testing.T) sandbox.Sandbox {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	made, err := s.Driver.Create(ctx, s.Spec)
	if err != nil {
		t.Fatalf("create a sandbox: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := made.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := health.New().Check(ctx, made); err != nil {
		t.Fatalf("check: %v", err)
	}
	return made
}

// subject is one sandbox under test with clients for what is inside.
type subject struct {
	*testing.T
	suite   Suite
	sandbox sandbox.Sandbox
	python  sandgatev1connect.PythonServiceClient
	process sandgatev1connect.ProcessServiceClient
	file    sandgatev1connect.FileServiceClient
	http    *http.Client
}

func newSubject(t *testing.T, s Suite, box sandbox.Sandbox) *subject {
	t.Helper()
	client := &http.Client{Transport: box.Transport()}
	plain := connect.WithAcceptCompression("gzip", nil, nil)
	return &subject{
		T:       t,
		suite:   s,
		sandbox: box,
		python:  sandgatev1connect.NewPythonServiceClient(client, sandbox.GuestURL, plain),
		process: sandgatev1connect.NewProcessServiceClient(client, sandbox.GuestURL, plain),
		file:    sandgatev1connect.NewFileServiceClient(client, sandbox.GuestURL, plain),
		http:    client,
	}
}

// must fails the test on an error.
func (s *subject) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wantCode fails the test unless err is an RPC error with that code.
func (s *subject) wantCode(err error, want connect.Code) {
	s.Helper()
	if err == nil || connect.CodeOf(err) != want {
		s.Errorf("error %v, want code %v", err, want)
	}
}

func (s *subject) wantStatus(got, want sandgatev1.Status, about any) {
	s.Helper()
	if got != want {
		s.Errorf("status %v, want %v: %v", got, want, about)
	}
}

// lifecycle makes a sandbox of its own and ends it.
func (s *subject) lifecycle() {
	ctx := s.Context()
	own, err := s.suite.Driver.Create(ctx, s.suite.Spec)
	s.must(err)
	if own.ID() == "" || own.ID() == s.sandbox.ID() {
		s.Errorf("id %q beside %q", own.ID(), s.sandbox.ID())
	}
	if own.Spec() != s.suite.Spec {
		s.Errorf("spec %+v", own.Spec())
	}
	if own.Err() != nil {
		s.Errorf("a live sandbox has the error %v", own.Err())
	}
	s.must(health.New().Check(ctx, own))
	s.must(own.Close(ctx))
	s.must(own.Close(ctx))
	<-own.Done()
	if own.Err() == nil {
		s.Error("a closed sandbox has no error")
	}
	if err := health.New().Check(ctx, own); err == nil {
		s.Error("a closed sandbox answers")
	}
	s.must(health.New().Check(ctx, s.sandbox))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if made, err := s.suite.Driver.Create(cancelled, s.suite.Spec); err == nil {
		_ = made.Close(ctx)
		s.Error("a sandbox was made for a caller who had left")
	}
}
