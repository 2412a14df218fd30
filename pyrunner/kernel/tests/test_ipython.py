"""IPython's syntax, loaded when it is used."""

import time
import unittest

from support import KernelTest


class IPythonTest(KernelTest):
    def test_it_is_not_loaded_before(self):
        self.assertEqual(self.ok("import sys; 'IPython' in sys.modules").text, "False")

    def test_syntax(self):
        self.ok("name = 'sand'")
        self.assertEqual(self.ok("!echo {name}gate").stdout, "sandgate\n")
        self.assertEqual(self.ok("x = !echo a; echo b\nx").text, "['a', 'b']")
        self.assertEqual(self.ok("%%bash\necho one\necho two").stdout, "one\ntwo\n")
        self.assertIn("loop", self.ok("%timeit -n1 -r1 pass").stdout)
        self.assertIn("Wall time", self.ok("%%time\n40 + 2").stdout)
        self.assertEqual(self.ok("%%time\n40 + 2").text, "42")
        self.ok("%time y = 3")
        self.assertEqual(self.ok("y").text, "3")
        self.assertIsNone(self.ok("%matplotlib inline").text)
        self.assertIn("len", self.ok("?len").stdout + str(self.ok("len?").displays))
        self.ok("%cd /tmp")
        self.assertEqual(self.ok("import os; os.getcwd()").text, "'/tmp'")
        self.assertEqual(self.ok("get_ipython().user_ns['name']").text, "'sand'")
        self.still_works()
        self.ok("!exit 3")
        self.assertEqual(self.ok("_exit_code").text, "3")

    def test_errors(self):
        self.assertEqual(self.run_cell("%time 1/0").error["name"], "ZeroDivisionError")
        self.assertEqual(self.run_cell("%nosuchmagic").status, "error")
        self.assertEqual(self.run_cell("!ls (\nx = (").status, "error")
        self.assertEqual(self.run_cell("x = 5 %").error["name"], "SyntaxError")
        self.assertIn("ZeroDivisionError", self.run_cell("1/0").error["traceback"])
        self.still_works()

    def test_leaving_once_it_is_loaded(self):
        for loader in ("!true", "%time 1", "get_ipython()", "import IPython", "%reset -f"):
            self.ok(loader)
            for code in ("exit(3)", "quit(3)", "%time exit(3)", "raise SystemExit(3)"):
                result = self.run_cell(code)
                self.assertEqual((result.status, result.done.get("exit_code")), ("exit", 3), f"{loader}, {code}: {result.error}")
            self.assertEqual(self.run_cell("quit()").done["exit_code"], 0)
            self.assertNotIn("exit", self.ok("%who").stdout)
        self.still_works()

    def test_names_of_the_user_stay(self):
        self.ok("def exit(): return 'mine'\nIn = open = 5")
        self.ok("!true")
        self.assertEqual(self.ok("exit(), In, open").text, "('mine', 5, 5)")

    def test_display_through_ipython(self):
        result = self.ok("from IPython.display import display, HTML, Image, Markdown, clear_output\ndisplay(HTML('<i>'), 5)\nclear_output()\nMarkdown('*m*')")
        self.assertEqual([data.get("text/html") or data["text/plain"] for data in result.displays], ["<i>", "5"])
        self.assertEqual(result.done["result"]["text/markdown"], "*m*")
        result = self.ok("from IPython.display import display_html; display_html('<b>', raw=True)")
        self.assertEqual(result.displays[0]["text/html"], "<b>")

    def test_interrupt_of_a_command(self):
        self.ok("!true")
        self.kernel.start("!echo go; sleep 100 & sleep 100")
        self.kernel.wait_output("go")
        time.sleep(0.1)
        self.kernel.interrupt()
        self.assertEqual(self.kernel.finish().status, "interrupted")
        self.still_works()

    def test_pip_speaks(self):
        self.assertIn("pip", self.ok("%pip --version").stdout)
        self.assertIn("--user", self.ok("from sandgate_kernel.ipython_support import pip_command\npip_command('install x', str)").text)


class DataIPythonTest(KernelTest):
    template = "data"

    def test_rich_objects_through_ipythons_display(self):
        result = self.ok("from IPython.display import display\nimport pandas as pd, matplotlib.pyplot as plt\ndisplay(pd.DataFrame({'a': [1]}))\nfig = plt.figure(); plt.plot([1]); display(fig)")
        self.assertIn("application/vnd.sandgate.table+json", result.displays[0])
        self.assertIn("image/png", result.displays[1])
        self.assertEqual(len(result.displays), 2)
        self.assertEqual(len(self.ok("%matplotlib inline\nplt.plot([1]); plt.show()").displays), 1)


if __name__ == "__main__":
    unittest.main()
