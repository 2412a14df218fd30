package main

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run this program as `sandgate`.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sandgate": main})
}

// TestOffline runs what needs no gateway.
func TestOffline(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script/offline", RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		env.Setenv("HOME", env.WorkDir)
		env.Setenv("SANDGATE_SERVER", "http://127.0.0.1:1") // nobody serves port 1
		return nil
	}, Cmds: commands()})
}

// TestClient runs the client against a gateway that only pretends to run things.
func TestClient(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script/client", RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		env.Setenv("HOME", env.WorkDir)
		env.Setenv("SANDGATE_SERVER", startFakeGateway(t))
		return nil
	}, Cmds: commands()})
}

// TestWired runs the client against a gateway that is whole but for the wall around its sandboxes.
func TestWired(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script/wired", RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		env.Setenv("HOME", env.WorkDir)
		env.Setenv("SANDGATE_SERVER", serveBoth(t, newWired(t).server.Handler()))
		return nil
	}, Cmds: commands()})
}

// commands are what scripts can do beyond testscript's own.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"exits": exits, "fetch": fetchScript,
	}
}

// exits is `exits CODE PROGRAM ARGS…`: it runs the program and wants that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	code := "0"
	err := ts.Exec(args[1], args[2:]...)
	if err != nil {
		code = exitCodeOf(err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// exitCodeOf is the exit code of a program that failed.
func exitCodeOf(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return strconv.Itoa(exit.ExitCode())
	}
	return err.Error()
}
