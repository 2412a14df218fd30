package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/store"
)

// as runs the client with a key and returns what it printed and how it ended.
func as(t *testing.T, server, key string, args ...string) (string, int) {
	t.Helper()
	p := newProgram(t, server, args...)
	p.cmd.Env = append(p.cmd.Env, keyVariable+"="+key)
	out, err := p.cmd.CombinedOutput()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), code
}

// operate runs a command of the operator's on a state folder.
func operate(t *testing.T, state string, args ...string) string {
	t.Helper()
	p := newProgram(t, "", append(args, "--state-dir", state)...)
	out, err := p.cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// TestKeysOfARunningGateway shuts an open gateway by its first key, and revokes that.
func TestKeysOfARunningGateway(t *testing.T) {
	needsEngine(t, config.RuntimeRunc)
	state := t.TempDir()
	g := startGateway(t, state, "--runtime", config.RuntimeRunc, "--log-level", "debug")
	t.Cleanup(func() { g.end(t, state) })
	if out, code := as(t, g.url, "", "whoami"); code != 0 || !strings.Contains(out, "no keys") {
		t.Errorf("an open gateway: %d %s", code, out)
	}
	acme := operate(t, state, "key", "create", "--tenant", "acme", "--name", "first")
	within(t, "the gateway asks for a key", func() bool { _, code := as(t, g.url, "", "whoami"); return code == exitNotRun })
	out, _ := as(t, g.url, "", "session", "list")
	if !strings.Contains(out, "key") {
		t.Errorf("without a key: %s", out)
	}
	id, code := as(t, g.url, acme, "session", "create")
	if code != 0 {
		t.Fatal(id)
	}
	if out, code := as(t, g.url, acme, "py", "--session", id, "-c", "print(6*7)"); code != 0 || out != "42" {
		t.Errorf("with the key: %d %s", code, out)
	}
	token, _, _ := strings.Cut(operateToken(t, g.url, acme, id), "\n")
	if out, code := as(t, g.url, token, "call", "file_list", "--session", id); code != 0 {
		t.Errorf("with a token: %d %s", code, out)
	}
	if out, code := as(t, g.url, token, "py", "--session", id, "-c", "1"); code != exitNotRun || !strings.Contains(out, "file_list") {
		t.Errorf("what the token is not for: %d %s", code, out)
	}
	// A second tenant: only gVisor may be between two.
	other := operate(t, state, "key", "create", "--tenant", "other")
	within(t, "the second tenant is known", func() bool { _, code := as(t, g.url, other, "whoami"); return code == 0 })
	if out, code := as(t, g.url, other, "session", "get", id); code != exitNotRun || !strings.Contains(out, "no such session") {
		t.Errorf("another tenant's session: %d %s", code, out)
	}
	if out, code := as(t, g.url, other, "session", "create"); code != exitNotRun || !strings.Contains(out, "gVisor") {
		t.Errorf("two tenants on runc: %d %s", code, out)
	}
	for _, key := range []string{acme, other} {
		operate(t, state, "key", "revoke", strings.Split(key, "_")[1])
	}
	within(t, "the keys are revoked", func() bool { _, code := as(t, g.url, acme, "whoami"); return code == exitNotRun })
	if out := operate(t, state, "key", "list"); strings.Count(out, "revoked") != 2 || strings.Contains(out, acme) {
		t.Errorf("the list: %s", out)
	}
	if out := operate(t, state, "audit", "verify"); !strings.Contains(out, " records, ") {
		t.Error(out)
	}
	record := operate(t, state, "audit", "tail", "-n", "1000")
	for _, want := range []string{
		"gateway.start ", "key.create tenant=acme ", "session.create ", "tool=python_run ", "token.create ", "refused code=permission_denied ",
		"key.revoke tenant=other ", "refused code=unauthenticated ",
	} {
		if !strings.Contains(record, want) {
			t.Errorf("the audit log does not say %q:\n%s", want, record)
		}
	}
	holdsNone(t, filepath.Join(state, auditFolder), []string{acme, other, token, id, "print(6*7)"})
	for _, secret := range []string{acme, other, token} {
		if strings.Contains(g.out.String(), secret) || strings.Contains(g.out.String(), secret[len(secret)-20:]) {
			t.Error("a secret is in the log")
		}
	}
}

func operateToken(t *testing.T, server, key, session string) string {
	t.Helper()
	p := newProgram(t, server, "token", "create", "--session", session, "--tools", "file_list")
	p.cmd.Env = append(p.cmd.Env, keyVariable+"="+key)
	out, err := p.cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// within waits for what other processes see after a while.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}

// TestOtherAddressesNeedAKey listens where others reach the gateway.
func TestOtherAddressesNeedAKey(t *testing.T) {
	needsEngine(t, config.RuntimeRunc)
	state := t.TempDir()
	serve := []string{"serve", "--listen", "0.0.0.0:0", "--runtime", "runc", "--pool-python", "0", "--pool-data", "0", "--state-dir", state}
	refused := newProgram(t, "", serve...).start(t)
	refused.expect(t, "sandgate key create")
	refused.ends(t, exitUsage)
	key := operate(t, state, "key", "create")
	g := &realGateway{program: newProgram(t, "", serve...)}
	g.start(t)
	g.expect(t, "serves http://")
	t.Cleanup(func() { g.end(t, state) })
	_, port, _ := strings.Cut(strings.Split(g.out.String(), "serves http://")[1], "]:")
	port, _, _ = strings.Cut(port, ",")
	if out, code := as(t, "http://127.0.0.1:"+port, key, "whoami"); code != 0 || !strings.Contains(out, "default") {
		t.Errorf("%d %s", code, out)
	}
}

// TestRotatedKey: the old key lets in until the end of its grace.
func TestRotatedKey(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	old := operate(t, state, "key", "create", "--tenant", "acme", "--scopes", "files", "--expires", "1h")
	fresh := operate(t, state, "key", "rotate", strings.Split(old, "_")[1], "--grace", "30m")
	db, err := store.Open(t.Context(), store.Options{Source: filepath.Join(state, databaseFile)})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := db.Keys(t.Context())
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0].Tenant != keys[1].Tenant || len(keys[1].Scopes) != 1 || !keys[0].ExpiresAt.Equal(keys[1].ExpiresAt) || fresh == old {
		t.Fatalf("%+v", keys)
	}
	if left := time.Until(keys[0].RevokedAt); left < 29*time.Minute || left > 30*time.Minute || !keys[1].RevokedAt.IsZero() {
		t.Errorf("the old key ends in %s, the new at %s", left, keys[1].RevokedAt)
	}
}

// TestPepper: it is made once, and refused where others may read it.
func TestPepper(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pepper")
	first, err := loadPepper(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadPepper(file)
	if err != nil || string(again) != string(first) || len(first) != 32 {
		t.Errorf("%v, %d bytes", err, len(first))
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := loadPepper(file); err == nil {
		t.Error("a pepper that others may read was taken")
	}
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadPepper(file); err == nil {
		t.Error("a file that holds no pepper was taken")
	}
}
