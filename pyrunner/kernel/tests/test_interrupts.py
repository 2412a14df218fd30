"""Interrupts: they hit their cell, wherever it is, and never another."""

import threading
import time
import unittest

from support import KernelTest

WAITS = (
    "print('go'); import time; time.sleep(100)",
    "print('go')\nwhile True: pass",
    "import asyncio\nprint('go')\nawait asyncio.sleep(100)",
    "import asyncio\nasync def f():\n    print('go'); await asyncio.sleep(100)\nasyncio.run(f())",
    "import subprocess\nprint('go'); subprocess.run(['sleep', '100'])",
    "class A:\n    def __repr__(self):\n        print('go')\n        while True: pass\nA()",
    "class E(Exception):\n    def __str__(self):\n        print('go')\n        while True: pass\nraise E",
    "import threading\nt = threading.Thread(target=__import__('time').sleep, args=(1,)); t.start()\nprint('go'); threading.Event().wait()",
    "import os\nr, w = os.pipe()\nprint('go'); os.read(r, 1)",
    "import queue\nprint('go'); queue.Queue().get()",
)


class InterruptTest(KernelTest):
    def test_everywhere(self):
        for code in WAITS:
            with self.subTest(code=code):
                kernel = self.kernel.zygote.fork()
                kernel.start(code)
                kernel.wait_output("go")
                time.sleep(0.05)
                kernel.interrupt()
                result = kernel.finish()
                expected = "error" if "__str__" in code else "interrupted"
                self.assertEqual(result.status, expected, result.error)
                self.assertEqual(kernel.run("6 * 7").text, "42")
                kernel.close()

    def test_code_may_catch_it(self):
        self.kernel.start("import time\ntry:\n    print('go'); time.sleep(100)\nexcept KeyboardInterrupt:\n    print('caught')\n5")
        self.kernel.wait_output("go")
        self.kernel.interrupt()
        result = self.kernel.finish()
        self.assertEqual((result.status, result.text), ("ok", "5"))

    def test_await_can_clean_up(self):
        code = "import asyncio\ntry:\n    print('go'); await asyncio.sleep(100)\nfinally:\n    print('cleaned')"
        self.kernel.start(code)
        self.kernel.wait_output("go")
        time.sleep(0.05)
        self.kernel.interrupt()
        result = self.kernel.finish()
        self.assertEqual(result.status, "interrupted")
        self.assertIn("cleaned", result.stdout)

    def test_other_cells_are_not_hit(self):
        self.ok("import time")
        self.kernel.interrupt(1)
        self.kernel.start("print('go'); time.sleep(0.3); 1")
        self.kernel.wait_output("go")
        self.kernel.interrupt(1)
        self.kernel.interrupt(0)
        self.kernel.interrupt(2**63)
        self.assertEqual(self.kernel.finish().text, "1")

    def test_one_that_comes_before_its_cell_begins(self):
        for _ in range(20):
            self.kernel.start("while True: pass")
            self.kernel.interrupt()
            self.assertEqual(self.kernel.finish().status, "interrupted")
        self.still_works()

    def test_own_handlers_last_one_cell(self):
        self.ok("import signal, time; signal.signal(signal.SIGINT, lambda *a: print('own'))")
        self.kernel.start("print('go'); time.sleep(100)")
        self.kernel.wait_output("go")
        self.kernel.interrupt()
        self.assertEqual(self.kernel.finish().status, "interrupted")

    def test_storm_around_the_end_of_cells(self):
        seen = set()
        for number in range(300):
            self.kernel.start("for i in range(%d): pass\ndisplay('x' * 200)" % (number * 40))
            stop = threading.Event()

            def storm(cell=self.kernel.cell, stop=stop):
                while not stop.is_set():
                    self.kernel.interrupt(cell)
                    time.sleep(0.00002)

            thread = threading.Thread(target=storm)
            if number % 3:
                time.sleep(number % 7 * 0.0001)
            thread.start()
            result = self.kernel.finish()
            seen.add(result.status)
            if number % 2:
                # The storm goes on while the next cell runs, which it must not touch.
                self.assertEqual(self.ok(f"sum(range(1000)) + {number}").text, str(499500 + number))
            stop.set()
            thread.join()
            self.assertEqual(self.ok(f"{number}").text, str(number))
        self.assertTrue(seen <= {"ok", "interrupted"}, seen)


if __name__ == "__main__":
    unittest.main()
