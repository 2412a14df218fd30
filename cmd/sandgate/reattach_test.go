package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// reattached is a call that runs when its gateway is killed.
type reattached struct {
	tool, id, session string
	arguments         map[string]any
	lines             int
	seen              events // by the client of the gateway that was killed
}

// events are what a client saw of a call.
type events struct {
	sequences []int64
	stdout    bytes.Buffer
	result    *sandgatev1.CallToolResponse
}

func (e *events) add(t *testing.T, sequence int64, progress *structpb.Struct) {
	t.Helper()
	e.sequences = append(e.sequences, sequence)
	text := progress.GetFields()["stdout"].GetStructValue().GetFields()["data"].GetStringValue()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	e.stdout.Write(data)
}

func (r *reattached) request(t *testing.T) *sandgatev1.CallToolRequest {
	t.Helper()
	arguments, err := structpb.NewStruct(r.arguments)
	if err != nil {
		t.Fatal(err)
	}
	return &sandgatev1.CallToolRequest{SessionId: r.session, Name: r.tool, Arguments: arguments, CallId: r.id}
}

// begin makes the call, and returns when it has shown something.
func (r *reattached) begin(t *testing.T, g *realGateway) {
	t.Helper()
	stream, err := toolsOf(g).StreamTool(t.Context(), &sandgatev1.StreamToolRequest{Call: r.request(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stream.Close() })
	for !strings.Contains(r.seen.stdout.String(), "line 0\n") {
		if !stream.Receive() {
			t.Fatalf("%s: %v", r.id, stream.Err())
		}
		r.seen.add(t, stream.Msg().GetSequence(), stream.Msg().GetProgress())
	}
}

// attach follows the call at another gateway, behind an event, and lets it end once it has one more.
func (r *reattached) attach(t *testing.T, g *realGateway, after int64) (events, error) {
	t.Helper()
	stream, err := callsOf(g).AttachCall(t.Context(), &sandgatev1.AttachCallRequest{Id: r.id, After: after})
	if err != nil {
		t.Fatal(err)
	}
	var got events
	for stream.Receive() {
		if result := stream.Msg().GetResult(); result != nil {
			got.result = result
			continue
		}
		if got.sequences == nil {
			output(t, g.url, "sh", "--session", r.session, "touch "+r.id+".go")
		}
		got.add(t, stream.Msg().GetSequence(), stream.Msg().GetProgress())
	}
	return got, errors.Join(stream.Err(), stream.Close())
}

// lines is what a call with so many lines shows.
func lines(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	return text.String()
}

// pythonLines and shellLines are calls that write to a file that they began, show lines, one in a
// twentieth of a second, and end when they may.
func pythonLines(session, id string, n int) *reattached {
	code := fmt.Sprintf("import os, time\nran = globals().get('ran', 0) + 1\nopen(%[1]q, 'a').write('ran\\n')\n"+
		"for i in range(%[2]d):\n    print(f'line {i}', flush=True)\n    time.sleep(0.05)\n"+
		"while not os.path.exists(%[1]q + '.go'): time.sleep(0.05)", id, n)
	return &reattached{tool: "python_run", id: id, session: session, lines: n, arguments: map[string]any{"code": code}}
}

func shellLines(session, id string, n int) *reattached {
	command := fmt.Sprintf("echo ran >> %[1]s; for i in $(seq 0 %[2]d); do echo line $i; sleep 0.05; done; "+
		"until [ -e %[1]s.go ]; do sleep 0.05; done; touch %[1]s.end", id, n-1)
	return &reattached{tool: "shell_run", id: id, session: session, lines: n, arguments: map[string]any{"command": command}}
}

// TestRunningCallsAreTakenUp kills a gateway under calls of every kind, and finds each in the next one:
// run once, its lines neither lost nor doubled, also where it ended while no gateway was there.
func TestRunningCallsAreTakenUp(t *testing.T) {
	for _, runtime := range []string{config.RuntimeRunsc, config.RuntimeRunc} {
		t.Run(runtime, func(t *testing.T) {
			needsEngine(t, runtime)
			state := t.TempDir()
			first := startGateway(t, state, "--runtime", runtime)
			main, other := output(t, first.url, "session", "create"), output(t, first.url, "session", "create")
			long, command := pythonLines(main, "long", 30), shellLines(main, "command", 30)
			short, endless := shellLines(other, "short", 20), pythonLines(other, "endless", 100_000)
			dies := pythonLines(output(t, first.url, "session", "create"), "dies", 100_000)
			output(t, first.url, "sh", "--session", other, "touch short.go")
			for _, call := range []*reattached{dies, endless, long, command, short} {
				call.begin(t, first)
			}
			first.signal(t, syscall.SIGKILL)
			if err := <-first.exited; err == nil {
				t.Error("a gateway that was killed ended well")
			}
			containers := containersOf(t, state)
			engine(t, "rm", "--force", containers[dies.session])
			engine(t, "exec", containers[other], "sh", "-c", "until [ -e /home/user/short.end ]; do sleep 0.05; done")

			second := startGateway(t, state, "--runtime", runtime)
			t.Cleanup(func() { second.end(t, state) })
			for _, call := range []*reattached{long, command} {
				call.goesOn(t, second)
			}
			for _, call := range []*reattached{long, command, short} {
				call.ranOnce(t, second)
			}
			endless.isCancelled(t, second)
			_, err := toolsOf(second).CallTool(t.Context(), dies.request(t))
			if connect.CodeOf(err) != connect.CodeAborted {
				t.Errorf("the call whose sandbox died: %v", err)
			}
		})
	}
}

// goesOn wants all that a call shows to come to who saw its beginning, and nothing twice.
func (r *reattached) goesOn(t *testing.T, g *realGateway) {
	t.Helper()
	rest, err := r.attach(t, g, r.seen.sequences[len(r.seen.sequences)-1])
	all := r.seen.stdout.String() + rest.stdout.String()
	if err != nil || all != lines(r.lines) || rest.result.GetStatus() != sandgatev1.Status_STATUS_OK {
		t.Errorf("%s: before and after the death it showed %q, %v, %v", r.id, all, rest.result, err)
	}
	for i, sequence := range slices.Concat(r.seen.sequences, rest.sequences) {
		if sequence != int64(i+1) {
			t.Errorf("%s: event %d has the number %d", r.id, i+1, sequence)
		}
	}
}

// ranOnce wants the whole of a call from who makes it again, and that it was not made again.
func (r *reattached) ranOnce(t *testing.T, g *realGateway) {
	t.Helper()
	res, err := toolsOf(g).CallTool(t.Context(), r.request(t))
	if err != nil || res.GetContent()[0].GetText()+"\n" != lines(r.lines) {
		t.Errorf("%s: made again: %v, %v", r.id, res, err)
	}
	if wall := res.GetReceipt().GetWall().AsDuration(); wall < time.Duration(r.lines)*50*time.Millisecond {
		t.Errorf("%s: it is said to have taken %s, and slept longer", r.id, wall)
	}
	if got := output(t, g.url, "sh", "--session", r.session, "cat "+r.id); got != "ran" {
		t.Errorf("%s: it wrote %q", r.id, got)
	}
}

// isCancelled cancels a call, and wants its work to end and its kernel to go on.
func (r *reattached) isCancelled(t *testing.T, g *realGateway) {
	t.Helper()
	res, err := callsOf(g).CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: r.id})
	if err != nil || !res.GetCancelled() {
		t.Errorf("%s: %v, %v", r.id, res, err)
	}
	if _, err := r.attach(t, g, 0); connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("%s: it ended in %v", r.id, err)
	}
	if got := output(t, g.url, "py", "--session", r.session, "-c", "print(ran, i > 0)"); got != "1 True" {
		t.Errorf("%s: its kernel says %q", r.id, got)
	}
}

func toolsOf(g *realGateway) sandgatev1connect.ToolServiceClient {
	return sandgatev1connect.NewToolServiceClient(http.DefaultClient, g.url)
}

func callsOf(g *realGateway) sandgatev1connect.CallServiceClient {
	return sandgatev1connect.NewCallServiceClient(http.DefaultClient, g.url)
}

// containersOf returns the containers of the sessions of a gateway that is dead.
func containersOf(t *testing.T, state string) map[string]string {
	t.Helper()
	name, err := os.ReadFile(filepath.Join(state, deploymentFile))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Options{Source: filepath.Join(state, databaseFile), Owner: strings.TrimSpace(string(name))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	containers := map[string]string{}
	for _, row := range rows {
		containers[row.ID] = row.SandboxID
	}
	return containers
}

func engine(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput(); err != nil {
		t.Fatalf("docker %v: %v: %s", args, err, out)
	}
}
