package sandboxtest

import (
	"errors"
	"fmt"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// storms runs what uses something up that is not a process or plain memory. Each must end with a
// typed result, and leave the sandbox usable; those whose kernel holds on to what there is only so much
// of, once its context was restarted.
func (s *subject) storms() {
	for _, storm := range []struct {
		name  string
		holds bool
		code  string
	}{
		{"processes by clone(2)", true, `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for _ in range(2000):
    if libc.syscall(56, 17, 0, 0, 0, 0) == 0:
        libc.pause()
        libc.syscall(231, 0)`},
		{"memory by memfd", false, `
import os
fds = []
for i in range(64):
    fds.append(os.memfd_create(str(i)))
    for _ in range(64): os.write(fds[-1], b"x" * 2**20)`},
		{"memory in pipes", true, `
import fcntl, os
ends = []
while True:
    r, w = os.pipe()
    ends += [r, w]
    try: fcntl.fcntl(w, 1031, 2**20)
    except OSError: pass
    os.set_blocking(w, False)
    try:
        while True: os.write(w, b"x" * 65536)
    except BlockingIOError: pass`},
		{"memory in page tables", false, `
import mmap
maps = []
for _ in range(64):
    m = mmap.mmap(-1, 2**30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    maps.append(m)
    for at in range(0, 2**30, 2**21): m[at] = 1`},
		{"descriptors", true, `
import os, select, socket
held = []
for make in (lambda: os.dup(1), socket.socket, select.epoll, os.pipe, lambda: os.open("/", os.O_RDONLY)):
    try:
        while True: held.append(make())
    except OSError as e: print(e.errno)`},
		{"a fork while another thread holds locks", false, `
import logging, os, threading, time
lock = threading.Lock()
def hold():
    with lock: time.sleep(2)
threading.Thread(target=hold).start()
time.sleep(0.1)
if os.fork() == 0:
    lock.acquire()`},
		{"a smashed stack", false, `
import ctypes
buf = ctypes.create_string_buffer(8)
ctypes.memset(ctypes.addressof(buf) - 4096, 0x41, 2**22)`},
		{"finalizers that never end", false, `
class Endless:
    def __del__(self):
        while True: pass
import sys
kept = Endless()
sys.exit(3)`},
		{"pools left running", false, `
import concurrent.futures, multiprocessing, time
pool = multiprocessing.get_context("fork").Pool(4)
pool.map_async(time.sleep, [300] * 8)
threads = concurrent.futures.ThreadPoolExecutor(4)
for _ in range(8): threads.submit(time.sleep, 300)`},
		{"a tree that is deep", false, `
code = "(" * 100000 + ")" * 100000
try: compile(code, "x", "eval")
except (SyntaxError, MemoryError, RecursionError) as e: print(type(e).__name__)
x = []
for _ in range(10**6): x = [x]
repr(x)`},
		{"displays of very many values", false, `
for _ in range(60): display({"application/json": [0] * 200000}, raw=True)`},
		{"a wedged clock", false, `
import time
time.time = time.monotonic = time.perf_counter = lambda: -1e300`},
	} {
		s.ends(storm.name, 15*time.Second, storm.code)
		if !storm.holds {
			s.usable(storm.name)
		}
		s.restarted(storm.name)
	}
}

// unreadSockets fills what a kernel holds for sockets that nobody reads. gVisor keeps that in its own
// memory, where the guest cannot see it: there the session may be lost, but never for another reason.
func (s *subject) unreadSockets() {
	_, err := s.runCell(s.Context(), &sandgatev1.RunRequest{Code: `
import socket
held = []
while True:
    pair = socket.socketpair()
    held.append(pair)
    pair[0].setblocking(False)
    try:
        while True: pair[0].send(b"x" * 65536)
    except BlockingIOError: pass`})
	if !s.lostToMemory(err) {
		s.must(err)
		s.restarted("sockets that nobody reads")
	}
}

// lostToMemory reports whether the sandbox was lost, for which a call failed. Under gVisor it may be, to
// what fills memory faster than the guest can see it, but for no other reason.
func (s *subject) lostToMemory(err error) bool {
	s.Helper()
	if err == nil || s.suite.Spec.Runtime == "runc" {
		return false
	}
	select {
	case <-s.sandbox.Done():
	case <-s.Context().Done():
	case <-time.After(10 * time.Second):
		return false
	}
	if why := s.sandbox.Err(); !errors.Is(why, sandbox.ErrMemory) {
		s.Errorf("lost: %v", why)
	}
	return true
}

// planted leaves files that a Python which looks for them would run, in every place that it might
// look at, and starts new kernels.
func (s *subject) planted() {
	s.py(`
import os, site, sys
os.environ["PYTHONSTARTUP"] = os.environ["PYTHONPATH"] = "/home/user/evil"
places = ["/home/user", "/tmp", site.getusersitepackages()]
for place in places:
    os.makedirs(place, exist_ok=True)
    for name in ("sitecustomize.py", "usercustomize.py", "json.py", "sandgate_kernel.py", "zygote.py"):
        with open(f"{place}/{name}", "w") as f: f.write("open('/tmp/ran', 'a').write(__name__ + '\\n')\n")
    with open(f"{place}/evil.pth", "w") as f: f.write("import os; open('/tmp/ran', 'a').write('pth\\n')\n")`)
	for i := range 3 {
		id := fmt.Sprintf("after-planting-%d", i)
		_, err := s.python.CreateContext(s.Context(), &sandgatev1.CreateContextRequest{ContextId: id})
		s.must(err)
		if run := s.in(id, "1+1"); run.value() != "2" {
			s.Errorf("%v", run)
		}
		_, err = s.python.DeleteContext(s.Context(), &sandgatev1.DeleteContextRequest{ContextId: id})
		s.must(err)
	}
	if ran := s.sh("cat /tmp/ran 2>/dev/null; rm -rf /tmp/ran /tmp/*.py /tmp/*.pth ~/*.py ~/*.pth ~/.local"); ran.stdout != "" {
		s.Errorf("a new kernel ran %q", ran.stdout)
	}
}

// manyCalls makes many calls in one session: nothing in it may grow with their number.
func (s *subject) manyCalls() {
	census := func() string {
		return s.py(`import os; (len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), sum(n.isdigit() for n in os.listdir("/proc")))`).value()
	}
	census()
	before := census()
	for range 1000 {
		s.py("x = 1")
	}
	if after := census(); after != before {
		s.Errorf("descriptors, threads and processes: %s, after 1,000 calls %s", before, after)
	}
}
