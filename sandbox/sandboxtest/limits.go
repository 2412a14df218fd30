package sandboxtest

import (
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guest/health"
)

// survives runs a bomb, wants a typed end, and then, without anybody's help, the sandbox usable.
func (s *subject) survives(name, code string, wants ...sandgatev1.Status) cellRun {
	s.Helper()
	run := s.ends(name, 15*time.Second, code, wants...)
	s.usable(name)
	return run
}

// ends runs a bomb and wants a typed end.
func (s *subject) ends(name string, limit time.Duration, code string, wants ...sandgatev1.Status) cellRun {
	s.Helper()
	run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: code, Timeout: durationpb.New(limit)})
	if err != nil {
		s.Fatalf("%s: %v (sandbox: %v)", name, err, s.sandbox.Err())
	}
	fits := len(wants) == 0
	for _, want := range wants {
		fits = fits || run.result.GetStatus() == want
	}
	if !fits {
		s.Errorf("%s: %v", name, run)
	}
	return run
}

// restarted wants the context to answer beside what a cell left, which lives on as it may, and the
// sandbox usable once the context was restarted.
func (s *subject) restarted(name string) {
	s.Helper()
	s.answers(name)
	_, err := s.python.RestartContext(s.Context(), &sandgatev1.RestartContextRequest{})
	s.must(err)
	s.usable(name)
}

func (s *subject) limitProcesses() {
	const bombed = 5 * time.Second
	before := s.processes()
	s.ends("fork bomb", 15*time.Second, `
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(300)
            os._exit(0)
        made += 1
except BlockingIOError:
    raise RuntimeError(f"stopped after {made}")`, sandgatev1.Status_STATUS_ERROR, sandgatev1.Status_STATUS_MEMORY)
	s.restarted("fork bomb")
	s.ends("fork bomb whose children sleep", bombed, `
import os, time
while True:
    try:
        if os.fork() == 0:
            time.sleep(300)
            os._exit(0)
    except OSError: time.sleep(0.01)`, sandgatev1.Status_STATUS_TIMEOUT, sandgatev1.Status_STATUS_MEMORY)
	s.usable("fork bomb whose children sleep")
	s.ends("threads", bombed, `
import threading, time
try:
    while True: threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
except RuntimeError as e: print("stopped", e)`)
	s.restarted("threads")
	s.ends("main thread gone, another runs on", bombed, `
import ctypes, threading
def spin():
    while True: pass
threading.Thread(target=spin).start()
ctypes.CDLL(None).syscall(60, 0)`)
	s.restarted("main thread gone, another runs on")
	s.eventually("processes are left over", func() bool { return s.processes() <= before })
	run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Timeout: durationpb.New(bombed), Code: `
import os
while True:
    try: os.fork()
    except OSError: pass`})
	if s.lostToMemory(err) {
		return
	}
	s.must(err)
	if got := run.result.GetStatus(); got != sandgatev1.Status_STATUS_TIMEOUT && got != sandgatev1.Status_STATUS_MEMORY {
		s.Errorf("fork bomb that never gives up: %v", run)
	}
	s.usable("fork bomb that never gives up")
	s.must(health.New().Check(s.Context(), s.sandbox))
}

func (s *subject) limitMemory() {
	memory, failed := sandgatev1.Status_STATUS_MEMORY, sandgatev1.Status_STATUS_ERROR
	s.survives("one great allocation", "b = bytearray(64 * 2**30)", memory)
	s.survives("many small ones", "a = []\nwhile True: a.append(bytearray(2**20))", memory)
	run := s.survives("in a child", `
import os
pid = os.fork()
if pid == 0:
    a = []
    while True: a.append(os.urandom(2**20))
print("child ended", os.waitpid(pid, 0)[1])`)
	if !strings.Contains(run.stdout, "child ended") && run.result.GetStatus() != memory && run.result.GetStatus() != failed {
		s.Errorf("%v", run)
	}
	s.survives("shared memory", `
try:
    with open("/dev/shm/x", "wb") as f:
        while True: f.write(bytes(2**20))
except OSError as e: print(e)
import os; os.unlink("/dev/shm/x")`)
	shell := s.sh(`python3 -c 'a=[]
while True: a.append(bytearray(2**20))'; echo code $?`) // MemoryError, killed alone, or with its shell
	if !strings.Contains(shell.stdout, "code 1") && shell.result.GetStatus() != memory {
		s.Errorf("a hungry command: %+v", shell)
	}
	s.survives("System V shared memory", `
import ctypes
l = ctypes.CDLL(None, use_errno=True); l.shmat.restype = ctypes.c_void_p
while True:
    i = l.shmget(0, 32 << 20, 0o1666)
    if i < 0: raise OSError(ctypes.get_errno())
    p = l.shmat(i, None, 0)
    ctypes.memset(p, 1, 32 << 20); l.shmdt(ctypes.c_void_p(p))`)
	s.eventually("memory that nobody holds is not freed", func() bool {
		run, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: "x = bytearray(b'x' * (100 << 20)); del x"})
		return err == nil && run.result.GetStatus() == sandgatev1.Status_STATUS_OK
	})
	s.must(health.New().Check(s.Context(), s.sandbox))
}

// limitFiles makes far more files than are allowed.
func (s *subject) limitFiles() {
	s.ends("a million files", 15*time.Second, `
import os
os.makedirs("many")
for i in range(10**6): os.close(os.open(f"many/{i}", os.O_CREAT | os.O_WRONLY))`)
	if run := s.sh("ls -U many | wc -l; rm -rf many"); run.result.GetStatus() != sandgatev1.Status_STATUS_OK {
		s.Errorf("%+v", run)
	}
	s.usable("a million files")
	s.must(health.New().Check(s.Context(), s.sandbox))
}

func (s *subject) limitDisk() {
	run := s.sh("head -c 100G /dev/zero > ~/big; wc -c < ~/big; rm ~/big")
	limit := s.suite.Spec.Limits.WorkspaceBytes
	if run.result.GetStatus() != sandgatev1.Status_STATUS_OK || !strings.Contains(run.stderr, "No space left") {
		s.Errorf("filling the workspace of %d bytes: %+v", limit, run)
	}
	s.sh("head -c 1G /dev/zero > /tmp/big; rm /tmp/big")
	s.sh("truncate -s $((1<<50)) ~/sparse; rm -f ~/sparse")
	s.sh("head -c 100G /dev/zero > ~/big")
	_, err := s.file.Write(s.Context(), &sandgatev1.WriteRequest{Path: "more", Content: &sandgatev1.WriteRequest_Data{Data: make([]byte, 1<<20)}})
	s.wantCode(err, connect.CodeResourceExhausted)
	_, err = s.file.Remove(s.Context(), &sandgatev1.RemoveRequest{Path: "big"})
	s.must(err)
	_, err = s.file.Write(s.Context(), &sandgatev1.WriteRequest{Path: "more", Content: &sandgatev1.WriteRequest_Data{Data: make([]byte, 1<<20)}})
	s.must(err)
	s.sh("rm more; mkdir d; cd d; for i in $(seq 1 1200); do mkdir -p x; cd x || break; done; cd; rm -rf d")
}

// wall looks at the wall from inside. What is on the host's side is the drivers' own to test.
func (s *subject) wall() {
	for name, c := range map[string]struct{ command, want string }{
		"capabilities":  {"grep -hE '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | awk '{print $2}' | sort -u", "0000000000000000\n"},
		"privileges":    {"grep NoNewPrivs /proc/self/status | awk '{print $2}'", "1\n"},
		"descriptors":   {"ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 "}, // 3 is ls's own
		"guest memory":  {"cat /proc/1/mem 2>&1 | head -c 0; cat /proc/1/environ 2>/dev/null | wc -c", "0\n"},
		"guest signals": {"kill -9 1 2>/dev/null; echo $?", "1\n"},
		"root disk":     {"touch /usr/x 2>/dev/null; echo $?", "1\n"},
		"environment":   {"env | grep -ciE 'secret|token|key|docker'", "0\n"},
		"network":       {"timeout 2 bash -c 'echo > /dev/tcp/169.254.169.254/80' 2>/dev/null; test $? -ne 0 && echo no", "no\n"},
		"interfaces":    {"ls /sys/class/net 2>/dev/null | grep -v '^lo$' | wc -l", "0\n"},
		"setuid files":  {"find / -xdev -perm /6000 -type f 2>/dev/null | wc -l", "0\n"},
		"user":          {"whoami; id -gn; echo ~", "user\nuser\n/home/user\n"},
		"signals":       {"ulimit -Hi", "256\n"},
	} {
		if run := s.sh(c.command); run.stdout != c.want {
			s.Errorf("%s: %q, want %q", name, run.stdout, c.want)
		}
	}
}

// stopper runs a process that stops every other of the user's for ever, among them those that the
// guest is just about to start: commands may fail, but the guest goes on.
func (s *subject) stopper() {
	next := s.start(s.Context(), &sandgatev1.StartRequest{Command: "python3", Args: []string{"-c", `
import os, time
print("on", flush=True)
end = time.monotonic() + 20
while time.monotonic() < end:
    try: os.kill(-1, 19)
    except OSError: pass`}})
	id, _, _, _ := s.follow(next, func(out []byte) bool { return len(out) > 0 })
	for range 5 {
		_, _ = s.runShell(s.Context(), &sandgatev1.ShellRequest{Command: "true", Timeout: durationpb.New(time.Second)})
	}
	_, _ = s.process.SendSignal(s.Context(), &sandgatev1.SendSignalRequest{ProcessId: id, Signal: sandgatev1.Signal_SIGNAL_KILL})
	_, err := s.python.RestartContext(s.Context(), &sandgatev1.RestartContextRequest{})
	s.must(err)
	s.usable("a stopper")
}
