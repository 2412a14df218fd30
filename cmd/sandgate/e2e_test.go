package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
)

// realGateway is `sandgate serve` as a process, on the real engine.
type realGateway struct {
	*program
	url string
}

// needsEngine skips a test where no sandbox could run. In CI that is a failure.
func needsEngine(t *testing.T, runtime string) {
	t.Helper()
	if testing.Short() {
		t.Skip("makes containers")
	}
	cfg := config.Default(os.LookupEnv)
	cfg.Runtime = runtime
	report, err := inspectHost(t.Context(), &cfg)
	if err == nil {
		err = report.refusal(runtime)
	}
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	}
}

// startGateway starts a gateway on a state folder, and ends it with the test.
func startGateway(t *testing.T, state string, args ...string) *realGateway {
	t.Helper()
	g := &realGateway{program: newProgram(t, "", append([]string{
		"serve", "--listen", "127.0.0.1:0", "--state-dir", state, "--pool-python", "1", "--pool-data", "0",
	}, args...)...)}
	g.start(t)
	g.expect(t, "serves http://")
	g.url = regexp.MustCompile(`serves (http://[0-9.:]+),`).FindStringSubmatch(g.out.String())[1]
	return g
}

// end waits for the end of a gateway that was told to end, and wants nothing to be left of it.
func (g *realGateway) end(t *testing.T, state string) {
	t.Helper()
	g.ends(t, 0)
	name, err := os.ReadFile(filepath.Join(state, deploymentFile))
	if err != nil {
		t.Fatal(err)
	}
	left, err := exec.Command("docker", "ps", "-aq", "--filter", "label=sandgate.owner="+strings.TrimSpace(string(name))).Output()
	if err != nil || len(left) > 0 {
		t.Errorf("containers are left: %q, %v", left, err)
	}
}

// TestRealGateway runs every script against a real gateway, on both runtimes.
func TestRealGateway(t *testing.T) {
	for _, runtime := range []string{config.RuntimeRunsc, config.RuntimeRunc} {
		t.Run(runtime, func(t *testing.T) {
			needsEngine(t, runtime)
			state := t.TempDir()
			g := startGateway(t, state, "--runtime", runtime)
			t.Cleanup(func() { g.end(t, state) }) // the end of the test's context has told it to
			t.Run("scripts", func(t *testing.T) {
				testscript.Run(t, testscript.Params{Dir: "testdata/script/e2e", RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
					env.Setenv("HOME", env.WorkDir)
					env.Setenv("SANDGATE_SERVER", g.url)
					env.Setenv("RUNTIME", runtime)
					return nil
				}, Cmds: commands()})
			})
			t.Run("shell on a terminal", func(t *testing.T) { tryShell(t, g.url) })
			t.Run("interrupt", func(t *testing.T) { tryInterrupt(t, g.url) })
			noSessions(t, g.url)
		})
	}
}

// tryShell uses a shell as a person does.
func tryShell(t *testing.T, server string) {
	t.Helper()
	sh := newProgram(t, server, "sh").startOnTerminal(t)
	sh.expect(t, "$ ")
	sh.send(t, "stty size; echo $TERM; tty\r")
	sh.expect(t, "30 100\r\nxterm\r\n/dev/pts/")
	setSize(t, sh.input, 120, 40)
	sh.send(t, "until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo re'sized'\r")
	sh.expect(t, "resized\r\n")
	// Ctrl-C belongs to what runs in there. The program itself says that it runs: bash may still be
	// on its way to handing it the terminal when its own echo is read.
	sh.send(t, "sh -c \"echo wait'ing'; exec sleep 600\"\r")
	sh.expect(t, "waiting\r\n")
	sh.send(t, "\x03")
	sh.send(t, "echo still 'here'\r")
	sh.expect(t, "still here\r\n")
	sh.send(t, "exit 7\r")
	sh.ends(t, 7)
}

// tryInterrupt presses Ctrl-C in a cell that sleeps in C.
func tryInterrupt(t *testing.T, server string) {
	t.Helper()
	py := newProgram(t, server, "py", "-c", "import time; print('ready', flush=True); time.sleep(600)").start(t)
	py.expect(t, "ready")
	py.signal(t, os.Interrupt)
	py.expect(t, "KeyboardInterrupt")
	py.ends(t, exitInterrupted)
	sh := newProgram(t, server, "sh", "echo ready; sleep 600").start(t)
	sh.expect(t, "ready")
	sh.signal(t, os.Interrupt)
	sh.ends(t, exitInterrupted)
}

// TestGatewayThatDiedIsSucceeded kills a gateway and finds its session, with its state, in the next.
func TestGatewayThatDiedIsSucceeded(t *testing.T) {
	needsEngine(t, config.RuntimeAuto)
	state := t.TempDir()
	first := startGateway(t, state)
	id := output(t, first.url, "session", "create")
	output(t, first.url, "py", "--session", id, "-c", "kept = 41")
	first.signal(t, syscall.SIGKILL)
	if err := <-first.exited; err == nil {
		t.Error("a gateway that was killed ended well")
	}

	second := startGateway(t, state)
	t.Cleanup(func() { second.end(t, state) })
	if got := output(t, second.url, "py", "--session", id, "-c", "print(kept + 1)"); got != "42" {
		t.Errorf("the state came back as %q", got)
	}
	// A third on the same folder is refused while the second lives.
	third := newProgram(t, "", "serve", "--listen", "127.0.0.1:0", "--state-dir", state).start(t)
	third.expect(t, "another gateway uses the state folder")
	third.ends(t, exitNotRun)
}

// output runs the client and returns what it printed, without the line end.
func output(t *testing.T, server string, args ...string) string {
	t.Helper()
	p := newProgram(t, server, args...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}
