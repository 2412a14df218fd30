"""State from cell to cell: values, compilation, await, environment."""

import json
import unittest

from support import KernelTest


class StateTest(KernelTest):
    def test_variables_stay_and_last_expression_is_shown(self):
        self.ok("x = 40")
        result = self.ok("x += 2\nx")
        self.assertEqual((result.text, result.done["count"]), ("42", 2))

    def test_nothing_is_shown_for_none_statements_and_semicolons(self):
        for code in ("None", "y = 1", "5;", "", "# only a comment", "if True:\n    7"):
            with self.subTest(code=code):
                self.assertIsNone(self.ok(code).text)

    def test_last_results(self):
        for code in ("1", "2", "3"):
            self.ok(code)
        self.assertEqual(self.ok("(_, __, ___)").text, "(3, 2, 1)")
        self.ok("_ = 'mine'")
        self.ok("99")
        self.assertEqual(self.ok("_").text, "'mine'")

    def test_main_pickle_and_multiprocessing(self):
        code = """
import pickle, multiprocessing
class Thing: pass
def square(x): return x * x
assert __name__ == "__main__" and type(pickle.loads(pickle.dumps(Thing()))) is Thing
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map(square, [1, 2, 3])
found"""
        self.assertEqual(self.ok(code).text, "[1, 4, 9]")

    def test_own_modules_are_imported_from_the_working_directory(self):
        self.ok("import os; os.makedirs('/home/user/m', exist_ok=True); os.chdir('/home/user/m')")
        self.ok("open('mine.py', 'w').write('value = 7')")
        self.assertEqual(self.ok("import mine; mine.value").text, "7")

    def test_user_files_do_not_reach_the_kernels_imports(self):
        self.ok("import os; os.makedirs('/home/user/evil', exist_ok=True); os.chdir('/home/user/evil')")
        self.ok("for n in ('traceback', 'asyncio', 'json'): open(n + '.py', 'w').write('raise SystemExit(9)')")
        self.assertIn("ZeroDivisionError", self.run_cell("1/0").error["traceback"])
        self.assertEqual(self.ok("async def f(): return 3\nawait f()").text, "3")

    def test_await_keeps_one_loop(self):
        self.ok("import asyncio\nloop = asyncio.get_running_loop(); await asyncio.sleep(0)\nq = asyncio.Queue()")
        self.ok("asyncio.create_task(q.put(5)); await asyncio.sleep(0)")
        self.assertEqual(self.ok("asyncio.get_running_loop() is loop, await q.get()").text, "(True, 5)")
        self.assertEqual(self.ok("async def g(): return 8\nasyncio.run(g())").text, "8")
        self.assertEqual(self.ok("await g()").text, "8")

    def test_future_imports_hold(self):
        self.ok("from __future__ import annotations")
        self.assertEqual(self.ok("def f(x: not_there): pass\nf.__annotations__['x']").text, "'not_there'")

    def test_env_is_set_and_restored(self):
        self.ok("import os; os.environ['KEPT'] = 'old'")
        code = "os.environ['KEPT'], os.environ['NEW'], os.popen('echo $NEW').read()"
        self.assertEqual(self.ok(code, KEPT="during", NEW="here").text, "('during', 'here', 'here\\n')")
        self.assertEqual(self.ok("os.environ['KEPT'], os.environ.get('NEW')").text, "('old', None)")
        self.assertEqual(self.run_cell("1/0", NEW="x").status, "error")
        self.assertEqual(self.ok("os.environ.get('NEW')").text, None)

    def test_identity(self):
        code = """
import os, sys, signal
fds = sorted(int(n) for n in os.listdir('/proc/self/fd'))
(os.getresuid(), os.getresgid(), os.getgroups(), os.getcwd(), os.environ['HOME'], oct(os.umask(18)),
 os.getsid(0) == os.getpid(), [fd for fd in fds if 3 < fd < 240], len(fds) <= 9)"""
        uid = "(20001, 20001, 20001)"
        self.assertEqual(self.ok(code).text, f"({uid}, {uid}, [30001], '/home/user', '/home/user', '0o22', True, [], True)")
        status = self.ok("open('/proc/self/status').read()").text
        self.assertIn("CapEff:\\t0000000000000000", status)

    def test_each_kernel_has_its_own_randomness(self):
        other = self.kernel.zygote.fork()
        self.addCleanup(other.close)
        code = "import random; random.random()"
        self.assertNotEqual(self.ok(code).text, other.run(code).text)

    def test_stdin_is_empty(self):
        self.assertEqual(self.run_cell("input()").error["name"], "EOFError")
        self.ok("import sys; assert sys.stdin.read() == ''")


class ChildrenTest(KernelTest):
    def test_reaping_tells_whoever_would_have_waited(self):
        code = """
import multiprocessing, os, signal, subprocess
class Mine(subprocess.Popen): pass
raw = os.fork()
if not raw: os._exit(1)
ended = [subprocess.Popen(["sh", "-c", "exit 3"]), Mine(["sleep", "300"])]
ended[1].kill()
worker = multiprocessing.get_context("fork").Process(target=os._exit, args=(4,))
worker.start()
for pid in (raw, *(p.pid for p in ended), worker.pid): os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
lives = subprocess.Popen(["sleep", "300"])"""
        self.ok(code)
        self.kernel.send({"op": "reap", "key": 7})
        self.assertEqual(self.kernel.receive(), {"op": "reaped", "key": 7})
        self.assertEqual(self.ok("[p.poll() for p in (*ended, lives)], worker.exitcode").text, "([3, -9, None], 4)")
        self.assertEqual(self.run_cell("os.waitpid(raw, 0)").error["name"], "ChildProcessError")
        self.assertEqual(self.ok("lives.kill(); lives.wait()").text, "-9")


class ZygoteTest(KernelTest):
    def test_a_directory_that_cannot_be_entered_is_no_end(self):
        for mode, instead in (("0755", "/home/user"), ("0", "/")):
            self.ok(f"import os; os.chmod('/home/user', 0o{mode})")
            kernel = self.kernel.zygote.fork(cwd="/home/user/gone", landed=instead)
            self.assertEqual(kernel.run("import os; os.getcwd()").text, repr(instead))
            kernel.close()
        self.ok("os.chmod('/home/user', 0o755)")

    def test_bad_requests_are_refused_and_junk_is_ignored(self):
        zygote = self.kernel.zygote
        zygote.send(b"\x00junk")
        zygote.send(b"[]")
        for change in ({"uid": 0}, {"gid": 0}, {"groups": [0]}, {"uid": "x"}, {"cwd": "home"}):
            request = {"op": "fork", "id": "bad", "uid": 1, "gid": 1, "groups": [], "cwd": "/", **change}
            zygote.send(request)
            self.assertEqual(zygote.expect("failed")["id"], "bad")
        self.still_works()

    def test_exit_is_reported(self):
        other = self.kernel.zygote.fork()
        other.start("import os; os._exit(3)")
        self.assertEqual(self.kernel.zygote.expect("exited", pid=other.pid)["status"], 3 << 8)
        other.forget()


class DataStateTest(KernelTest):
    template = "data"

    def test_numpy_works_after_the_fork_and_is_seeded_anew(self):
        self.assertEqual(self.ok("import numpy as np; float((np.ones((300, 300)) @ np.ones((300, 300))).sum())").text, "27000000.0")
        other = self.kernel.zygote.fork()
        self.addCleanup(other.close)
        code = "import numpy as np; float(np.random.rand())"
        self.assertNotEqual(self.ok(code).text, other.run(code).text)


class ArgumentsTest(KernelTest):
    def test_arguments_come_with_the_first_cell(self):
        argv = ["job.py", "it's", "\u00e9\"\\", ""]
        result = self.run_cell("import os, sys\nassert 'SANDGATE_ARGV' not in os.environ\nprint(sys.argv)\n1/0", SANDGATE_ARGV=json.dumps(argv))
        self.assertEqual(result.stdout, f"{argv}\n")
        self.assertIn('File "<cell 1>", line 4', result.error["traceback"])
        self.assertEqual(result.done["count"], 1)
        self.assertEqual(self.ok("sys.argv").text, repr(argv))

    def test_what_is_no_list_of_texts_is_none(self):
        for written in ("", "5", '["a", 5]', "[]", '{"a": 1}', '["a"], "b": [', '["a"', "[" * 100_000):
            self.assertEqual(self.ok("import sys; sys.argv", SANDGATE_ARGV=written).text, "['']")


if __name__ == "__main__":
    unittest.main()
