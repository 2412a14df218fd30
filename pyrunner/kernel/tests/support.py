"""What the test cases share: one zygote a template for the whole run, one kernel a test."""

import atexit
import unittest

from harness import Zygote

ZYGOTES = {}


def zygote(template):
    """Returns the running zygote of a template."""
    if template not in ZYGOTES:
        ZYGOTES[template] = Zygote(template)
        atexit.register(ZYGOTES[template].close)
    return ZYGOTES[template]


class KernelTest(unittest.TestCase):
    """A test with a fresh kernel."""

    template = "python"

    def setUp(self):
        self.kernel = zygote(self.template).fork()
        self.run_cell = self.kernel.run
        self.addCleanup(self.kernel.close)

    def ok(self, code, **env):
        """Runs a cell that must succeed."""
        result = self.run_cell(code, **env)
        self.assertEqual(result.status, "ok", result.error.get("traceback"))
        return result

    def still_works(self):
        """Checks that the kernel runs the next cell."""
        self.assertEqual(self.ok("20 + 1").text, "21")
