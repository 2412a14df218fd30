"""How cells end: exceptions, exits, dying kernels; and tracebacks within bounds."""

import unittest

from harness import Gone
from support import KernelTest


class ErrorTest(KernelTest):
    def test_traceback_has_source_and_no_frames_of_ours(self):
        self.ok("def f(x):\n    return 1 / x")
        error = self.run_cell("f(0)").error
        self.assertEqual((error["name"], error["value"]), ("ZeroDivisionError", "division by zero"))
        self.assertIn('File "<cell 1>", line 2, in f\n    return 1 / x', error["traceback"])
        self.assertTrue(error["traceback"].startswith('Traceback (most recent call last):\n  File "<cell 2>"'))
        self.assertNotIn("sandgate", error["traceback"])
        self.assertNotIn("/kernel/", error["traceback"])

    def test_kinds(self):
        cases = {
            "x = (": ("SyntaxError", "was never closed"),
            "x = 1\n  y": ("IndentationError", "unexpected indent"),
            "raise ExceptionGroup('g', [ValueError(1), KeyError('k')])": ("ExceptionGroup", "KeyError: 'k'"),
            "try:\n    1/0\nexcept Exception as e:\n    raise ValueError('v') from e": ("ValueError", "direct cause"),
            "'\\0'\n\0": ("SyntaxError", "null bytes"),
            "async def f(): 1/0\nawait f()": ("ZeroDivisionError", 'line 1, in f'),
            "nam = 1\nname": ("NameError", "Did you mean: 'nam'"),
            "def r(): r()\nr()": ("RecursionError", "Previous line repeated"),
            "raise KeyError('\\udc80')": ("KeyError", "udc80"),
        }
        for code, (name, text) in cases.items():
            with self.subTest(code=code):
                result = self.run_cell(code)
                self.assertEqual((result.status, result.error["name"]), ("error", name))
                self.assertIn(text, result.error["traceback"])
                self.assertNotIn("sandgate", result.error["traceback"])

    def test_bounds(self):
        cases = (
            "raise ValueError('x' * 50_000_000)",
            "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
            "class E(Exception):\n    def __str__(self): return 1\nraise E",
            "e = ValueError('z')\nfor i in range(100000): e.add_note('n' * 100)\nraise e",
            "import sys; sys.setrecursionlimit(60000)\ndef r(n): return r(n - 1) if n else 1/0\nr(20000)",
            "e = None\nfor i in range(20000):\n    n = ValueError(i); n.__cause__ = e; e = n\nraise e",
            "raise ExceptionGroup('g', [ExceptionGroup('h' * 10000, [ValueError('v' * 10000)] * 50)] * 50)",
            "type('N' * 100000, (Exception,), {})\nraise type('N' * 100000, (Exception,), {})('x')",
        )
        for code in cases:
            with self.subTest(code=code):
                result = self.run_cell(code)
                self.assertEqual(result.status, "error")
                for field in ("value", "traceback"):
                    self.assertLessEqual(len(result.error[field].encode()), 64 * 1024)
                self.still_works()

    def test_exit(self):
        cases = {
            "import sys; sys.exit()": (0, ""), "raise SystemExit(7)": (7, ""), "exit(3)": (3, ""),
            "sys.exit('gone')": (1, "gone\n"), "sys.exit(True)": (1, ""), "sys.exit(2**40)": (2**31 - 1, ""),
        }
        for code, (number, text) in cases.items():
            with self.subTest(code=code):
                result = self.run_cell(code)
                self.assertEqual((result.status, result.done["exit_code"], result.stderr), ("exit", number, text))
        self.still_works()

    def test_memory(self):
        result = self.run_cell("x = bytearray(2**62)")
        self.assertEqual(result.status, "memory")
        self.still_works()

    def test_death_is_the_end_of_the_socket(self):
        for code in ("import os; os._exit(0)", "import ctypes; ctypes.string_at(0)", "import os; os.abort()"):
            with self.subTest(code=code):
                kernel = self.kernel.zygote.fork()
                kernel.start(code)
                with self.assertRaises(Gone):
                    kernel.finish()
                kernel.forget()

    def test_forked_children_do_not_speak(self):
        code = """
import os, sys
pid = os.fork()
if pid == 0:
    display("from the child")
    print("child")
    sys.exit(5)
_, status = os.waitpid(pid, 0)
os.waitstatus_to_exitcode(status)"""
        result = self.ok(code)
        self.assertEqual((result.text, result.displays, result.stdout), ("5", [], "child\n"))
        for end, code in (("pass", "0"), ("1/0", "1")):
            result = self.ok(f"pid = os.fork()\nif pid == 0:\n    {end}\nelse:\n    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n'child' if pid == 0 else code")
            self.assertEqual(result.text, code)
            self.assertEqual("ZeroDivisionError" in result.stderr, end == "1/0")
        result = self.ok("print('once', end=''); pid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0); None")
        self.assertEqual(result.stdout, "once")
        code = "import ctypes; pid = ctypes.CDLL(None).fork()\nif pid: os.waitpid(pid, 0)\n8"
        self.assertEqual(self.ok(code).text, "8")
        self.still_works()


if __name__ == "__main__":
    unittest.main()
