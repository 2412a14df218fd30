"""User code that breaks what the kernel stands on; and output of threads."""

import time
import unittest

from support import KernelTest

BREAKERS = (
    "import builtins; builtins.print = builtins.len = builtins.isinstance = builtins.repr = None",
    "import builtins; del builtins.__import__; del builtins.type, builtins.getattr, builtins.str",
    "del __builtins__",
    "import json, os, signal, _json, socket; json.dumps = json.loads = os.write = os.read = os.dup2 = signal.signal = None",
    "import sys; sys.modules.clear()",
    "import sys; sys.stdout.close(); sys.stderr.close()",
    "import sys; sys.stdout = sys.stderr = None",
    "import sys; del sys.stdout, sys.stderr, sys.stdin",
    "import sys, io; sys.stdout = io.TextIOWrapper(sys.stdout.buffer); sys.stderr = io.StringIO()",
    "import os; os.close(1); os.close(2); os.close(0)",
    "import os; os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
    "import sys; sys.setrecursionlimit(40)",
    "import sys; sys.settrace(lambda *a: 1/0)",
    "import sys; sys.setprofile(lambda *a: 1/0)",
    "import gc\nfor o in gc.get_objects():\n    if isinstance(o, dict): len(o)",
    "import os; os.environ = {}; os.getpid = lambda: 1",
    "import sys; sys.path = None; sys.meta_path.clear(); sys.path_importer_cache.clear()",
    "import linecache, traceback; linecache.cache.clear(); traceback.TracebackException = None",
    "import os, shutil; os.makedirs('/home/user/gone', exist_ok=True); os.chdir('/home/user/gone'); os.rmdir('/home/user/gone')",
    "import os; os.closerange(3, 200)",
    "import threading; threading._active.clear()",
    "import atexit; atexit.register(lambda: __import__('time').sleep(1000))",
    "import sys; sys.displayhook = None; sys.excepthook = None",
    "globals().clear()",
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, {15})",
    "import gc; gc.disable(); gc.set_threshold(1)",
    "import sys; sys.setswitchinterval(1e-6)",
    "import os; f = open('/home/user/f', 'w'); os.close(1); os.dup(f.fileno())",
)


class BreakTest(KernelTest):
    def test_breakers(self):
        for code in BREAKERS:
            with self.subTest(code=code):
                kernel = self.kernel.zygote.fork()
                kernel.run(code)
                result = kernel.run("40 + 2")
                if "displayhook" not in code:
                    self.assertEqual((result.status, result.text), ("ok", "42"), result.error)
                result = kernel.run("1/0")
                self.assertEqual((result.status, result.error["name"]), ("error", "ZeroDivisionError"))
                if "builtins.print" not in code:
                    self.assertEqual(kernel.run("print('out')").stdout, "out\n")
                kernel.close()

    def test_junk_on_the_socket(self):
        for junk in (b"", b".", b"+", b"x", b".{", b".[1]", b'.{"op":"run"}', b'.{"op":"nothing"}', b".\xff", b"+" * 60000):
            if junk:
                self.kernel.sock.send(junk)
                self.kernel.sock.send(b".")  # ends what a '+' began
        self.still_works()

    def test_forged_frames_reach_the_guest_as_junk_only(self):
        """User code can write to its own socket; the kernel itself goes on."""
        self.kernel.start("import os\nfor fd in range(3, 256):\n    try: os.write(fd, b'?forged')\n    except OSError: pass")
        packets = []
        while not packets or b"done" not in packets[-1]:
            packets.append(self.kernel.sock.recv(65536))
        self.still_works()

    def test_cells_that_ran_are_not_run_again(self):
        self.ok("n = 1")
        self.kernel.send({"op": "run", "cell": 1, "key": 1, "code": "n = 99", "env": {}})
        self.assertEqual(self.ok("n").text, "1")

    def test_variables_that_the_system_refuses_are_no_cell(self):
        for env in ({"A": "a\0b"}, {"A\0": "b"}, {"A=B": "c"}, {"": "c"}):
            self.kernel.send({"op": "run", "cell": 5, "key": 5, "code": "n = 99", "env": env})
        self.assertEqual(self.run_cell("n").error["name"], "NameError")

    def test_alarm_left_behind(self):
        code = "import signal\ndef ring(*_): raise RuntimeError('ring')\nsignal.signal(signal.SIGALRM, ring)\nsignal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)"
        self.run_cell(code)
        for number in range(200):
            self.run_cell(f"x = {number}")
        self.run_cell("signal.setitimer(signal.ITIMER_REAL, 0)")
        self.run_cell("signal.setitimer(signal.ITIMER_REAL, 0)")
        time.sleep(0.01)
        self.run_cell("0")
        self.still_works()

    def test_alarm_in_idle_with_large_messages(self):
        code = "import signal\ndef ring(*_): raise TimeoutError\nsignal.signal(signal.SIGALRM, ring)\nsignal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)"
        self.run_cell(code)
        for _ in range(30):
            self.run_cell("x = '" + "z" * 300_000 + "'")
            time.sleep(0.002)
        self.run_cell("signal.setitimer(signal.ITIMER_REAL, 0)")
        self.run_cell("signal.setitimer(signal.ITIMER_REAL, 0)")
        self.still_works()

    def test_large_messages_both_ways(self):
        self.assertEqual(self.ok("len('" + "é" * 1_000_000 + "')").text, "1000000")
        self.assertEqual(len(self.ok("display({'text/html': 'y' * 8_000_000}, raw=True)").displays[0]["text/html"]), 8_000_000)


class StreamTest(KernelTest):
    def test_kinds_of_writes(self):
        code = """
import sys, os, subprocess
print("text", end=" "); sys.stdout.buffer.write(b"bytes \\xff\\n"); sys.stdout.flush()
os.write(1, b"raw\\n"); subprocess.run(["echo", "program"])
print("err", file=sys.stderr); sys.stdout.writelines(["a", "b\\n"])
sys.stdout.isatty(), sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.encoding"""
        result = self.ok(code)
        self.assertEqual(result.stdout, "text bytes \ufffd\nraw\nprogram\nab\n")
        self.assertEqual((result.stderr, result.text), ("err\n", "(False, 1, 2, 'utf-8')"))

    def test_threads_of_earlier_cells_print_late(self):
        self.ok("import threading, time\ngo = threading.Event()\nt = threading.Thread(target=lambda: (go.wait(), print('late')))\nt.start()")
        result = self.ok("go.set(); t.join(); print('mine')")
        self.assertEqual(result.stdout, "mine\n")
        self.assertEqual(self.kernel.drain(self.kernel.late), b"late\n")
        result = self.ok("t = threading.Thread(target=print, args=('now',)); t.start(); t.join()")
        self.assertEqual(result.stdout, "now\n")

    def test_new_threads_with_old_identities(self):
        self.ok("import threading, time\nstop = threading.Event()\nfor _ in range(8): threading.Thread(target=stop.wait).start()")
        result = self.ok("stop.set(); time.sleep(0.2)\nts = [threading.Thread(target=print, args=(i,)) for i in range(8)]\nfor t in ts: t.start(); t.join()")
        self.assertEqual(result.stdout, "".join(f"{i}\n" for i in range(8)))

    def test_pool_threads_belong_to_who_asks(self):
        self.ok("import asyncio\nawait asyncio.to_thread(print, 1)")
        self.assertEqual(self.ok("await asyncio.to_thread(print, 2)").stdout, "2\n")

    def test_many_lines(self):
        result = self.ok("for i in range(20000): print(i)")
        self.assertEqual(result.stdout, "".join(f"{i}\n" for i in range(20000)))


if __name__ == "__main__":
    unittest.main()
