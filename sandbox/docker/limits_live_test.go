package docker

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sandgate/sandgate/sandbox"
)

// forkBomb forks until it may not, says how often it could, and ends its children.
const forkBomb = `
import os, signal, time
children = []
try:
    while len(children) < 2000:
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        children.append(pid)
except BlockingIOError:
    pass
time.sleep(1)
for pid in children:
    os.kill(pid, signal.SIGKILL)
print(len(children))
`

// RX01: and two sandboxes at their limits at once do not take from each other, which they would if they
// shared a uid of the host.
func TestForkBombsStayApart(t *testing.T) {
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		driver := newTestDriver(t, nil)
		spec := testSpec(runtime)
		spec.Limits.MemoryBytes = 512 * sandbox.MiB
		spec.Limits.MaxProcesses = 80
		var group sync.WaitGroup
		for range 2 {
			made := create(t, driver, spec)
			group.Go(func() {
				reply := run(t, made.Transport(), false, forkBomb, "python3", "-")
				forks, err := strconv.Atoi(strings.TrimSpace(reply.Stdout))
				if err != nil || forks < 70 || forks > 80 {
					t.Errorf("forked %q times: %s", reply.Stdout, reply.Stderr)
				}
				if answer, err := post(t.Context(), made.Transport(), "/echo", "alive"); err != nil || answer != "alive" {
					t.Errorf("after the bomb: %q, %v", answer, err)
				}
			})
		}
		group.Wait()
	})
}

// RX08, RX15, RX17, RX18: what can be written is bounded, and the sandbox goes on.
func TestFilesAreBounded(t *testing.T) {
	const script = `
import errno, os, sys
def fill(path):
    written = 0
    try:
        with open(path, "wb", buffering=0) as f:
            while written < 1 << 30:
                written += f.write(b"x" * 65536)
    except OSError:
        pass
    os.unlink(path)
    return written
def count(where):
    n = 0
    try:
        while n < 5000:
            open(f"{where}/{n}", "w").close()
            n += 1
    except OSError:
        pass
    return n
print(fill("/home/user/f"), fill("/tmp/f"), fill("/dev/shm/f"), count("/home/user"))
`
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		driver := newTestDriver(t, nil)
		spec := testSpec(runtime)
		spec.Limits.WorkspaceBytes = 8 * sandbox.MiB
		spec.Limits.WorkspaceFiles = 500
		made := create(t, driver, spec)
		reply := run(t, made.Transport(), false, script, "python3", "-")
		parts := strings.Fields(reply.Stdout)
		if len(parts) != 4 {
			t.Fatalf("the script said %q and %q", reply.Stdout, reply.Stderr)
		}
		wanted := plan{spec: made.Spec()}
		for i, most := range []int64{spec.Limits.WorkspaceBytes, wanted.tmpSize(), wanted.shmSize()} {
			if got, err := strconv.ParseInt(parts[i], 10, 64); err != nil || got > most || got < most/2 {
				t.Errorf("file system %d took %s bytes, want at most %d", i, parts[i], most)
			}
		}
		// runsc does not pass nr_inodes on; there memory is the bound.
		if files, err := strconv.Atoi(parts[3]); runtime == "runc" && (err != nil || files < 500 || files > 500+guestInodes) {
			t.Errorf("%s files, want about 500", parts[3])
		}
		if answer, err := post(t.Context(), made.Transport(), "/echo", "alive"); err != nil || answer != "alive" {
			t.Errorf("afterwards: %q, %v", answer, err)
		}
	})
}
