"""Displays: bundles, bounds, tables, figures."""

import base64
import unittest

from support import KernelTest

TABLE = "application/vnd.sandgate.table+json"
CHART = "application/vnd.sandgate.chart+json"


class DisplayTest(KernelTest):
    def test_forms_of_an_object(self):
        code = """
class Rich:
    def __repr__(self): return "rich"
    def _repr_html_(self): return "<b>x</b>"
    def _repr_svg_(self): return "<svg/>"
    def _repr_markdown_(self): return "*x*"
    def _repr_latex_(self): return "$x$"
    def _repr_json_(self): return {"a": [1, None, float("nan")]}
    def _repr_png_(self): return b"\\x89PNG"
    def _repr_jpeg_(self): return None
    def _repr_javascript_(self): raise ValueError("no")
    def _repr_mimebundle_(self, include=None, exclude=None): return {"text/x-own": "own"}, {"meta": 1}
Rich()"""
        result = self.ok(code).done["result"]
        expected = {
            "text/plain": "rich", "text/html": "<b>x</b>", "image/svg+xml": "<svg/>", "text/markdown": "*x*",
            "text/latex": "$x$", "application/json": {"a": [1, None, None]}, "text/x-own": "own",
            "image/png": base64.b64encode(b"\x89PNG").decode(),
        }
        self.assertEqual(result, expected)

    def test_display_keeps_its_place_in_the_output(self):
        self.kernel.start("print('a', end=''); display(1); print('b'); display({'text/html': 'x'}, raw=True)")
        first = self.kernel.receive()
        self.assertEqual((first["op"], first["key"], first["data"]), ("display", self.kernel.key, {"text/plain": "1"}))
        # What was printed before is here; what is printed after may be, too.
        before = self.kernel.drain(self.kernel.out).decode()
        self.assertTrue(before.startswith("a"))
        result = self.kernel.finish()
        self.assertEqual((before + result.stdout, result.displays), ("ab\n", [{"text/html": "x"}]))

    def test_broken_reprs(self):
        cases = {
            "class A:\n    def __repr__(self): raise ValueError('x')\nA()": "<A: repr() raised ValueError>",
            "class A:\n    def __repr__(self): return 1\nA()": "<A: repr() raised TypeError>",
            "class A:\n    def __repr__(self): return repr(self)\nA()": "<A: repr() raised RecursionError>",
            "class A:\n    def __getattr__(self, n): return lambda *a, **k: n\n    def __repr__(self): return 'm'\nA()": "m",
            "class A:\n    def __getattr__(self, n): raise RuntimeError\n    def __repr__(self): return 'm'\nA()": "m",
            "'\\udc80'": "'\\udc80'",
        }
        for code, text in cases.items():
            with self.subTest(code=code):
                self.assertEqual(self.ok(code).text, text)
        self.assertEqual(self.run_cell("class A:\n    def __repr__(self): raise SystemExit(4)\nA()").done["exit_code"], 4)

    def test_bounds(self):
        text = self.ok("'x' * 3_000_000").text
        self.assertTrue(1024 * 1024 <= len(text) < 1024 * 1024 + 100 and "more characters" in text)
        result = self.ok("display({'text/html': 'h' * 9_000_000, 'text/plain': 'p'}, raw=True)")
        self.assertEqual(list(result.displays[0]), ["text/plain"])
        self.assertIn("text/html left out", result.displays[0]["text/plain"])
        result = self.ok("display({'text/html': 'h' * 7_000_000, 'text/x-b': 'b' * 7_900_000}, raw=True)")
        self.assertIn("text/html", result.displays[0])
        self.assertNotIn("text/x-b", result.displays[0])
        result = self.ok("for i in range(3): display({'text/html': chr(233) * 3_000_000}, raw=True)")
        self.assertEqual([len(data["text/html"]) for data in result.displays], [3_000_000] * 3)

    def test_what_escaping_makes_too_large(self):
        code = "class A:\n    def _repr_html_(self): return chr(1) * 8_000_000\n    def __repr__(self): return 'A'\n"
        self.assertIn("left out", self.ok(code + "A()").text)
        self.assertIn("left out", self.ok("display(A())").displays[0]["text/plain"])

    def test_surrogates(self):
        result = self.ok("print('a\\udc80b'); display({'text/html': '\\ud800'}, raw=True)")
        self.assertEqual(result.stdout, "a\\udc80b\n")
        self.assertEqual(result.displays, [{"text/html": "\\ud800"}])

    def test_sandgate_shows_itself(self):
        result = self.ok("class A:\n    def _ipython_display_(self): display('me')\nA()")
        self.assertEqual((result.displays, result.text), ([{"text/plain": "'me'"}], None))

    def test_display_of_a_late_thread_goes_to_late_output(self):
        self.ok("import threading, time\nt = threading.Thread(target=lambda: (time.sleep(0.3), display('late')))\nt.start()")
        result = self.ok("t.join()")
        self.assertEqual(result.displays, [])
        self.assertIn(b"late", self.kernel.drain(self.kernel.late))


class DataDisplayTest(KernelTest):
    template = "data"

    def test_dataframe(self):
        code = """
import pandas as pd, numpy as np
df = pd.DataFrame({"n": [1, 2**60], "f": [0.5, np.nan], "d": pd.to_datetime(["2020-01-02", None]), ("a", 1): ["x", None]})
df"""
        result = self.ok(code).done["result"]
        self.assertIn("<table", result["text/html"])
        table = result[TABLE]
        self.assertEqual(table["columns"], ["n", "f", "d", "a, 1"])
        self.assertEqual(table["dtypes"], ["int64", "float64", "datetime64[ns]", "object"])
        self.assertEqual(table["rows"], [[1, 0.5, "2020-01-02T00:00:00", "x"], [str(2**60), None, None, None]])
        self.assertEqual((table["index"], table["totalRows"]), ([0, 1], 2))

    def test_large_frames_and_series(self):
        table = self.ok("import pandas as pd; pd.DataFrame({'a': range(5000)})").done["result"][TABLE]
        self.assertEqual((len(table["rows"]), len(table["index"]), table["totalRows"]), (1000, 1000, 5000))
        table = self.ok("pd.DataFrame([['y' * 30000] * 5] * 900)").done["result"][TABLE]
        self.assertTrue(0 < len(table["rows"]) < 100)
        table = self.ok("pd.Series([1.5], name='s', index=pd.MultiIndex.from_tuples([('u', 1)]))").done["result"][TABLE]
        self.assertEqual((table["columns"], table["index"], table["rows"]), (["s"], [["u", 1]], [[1.5]]))
        self.assertEqual(self.ok("pd.DataFrame()").done["result"][TABLE]["rows"], [])

    def test_figures_are_shown_once_and_closed(self):
        result = self.ok("import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])")
        self.assertEqual(len(result.displays), 1)
        self.assertTrue(base64.b64decode(result.displays[0]["image/png"]).startswith(b"\x89PNG"))
        self.assertIn(CHART, result.displays[0])
        result = self.ok("plt.plot([1]); plt.show(); plt.figure(); plt.plot([2]); None")
        self.assertEqual(len(result.displays), 2)
        result = self.ok("fig, ax = plt.subplots(); ax.plot([3]); fig")
        self.assertEqual((len(result.displays), "image/png" in result.done["result"]), (0, True))
        self.assertEqual(self.ok("plt.get_fignums()").text, "[]")

    def test_figure_of_a_failing_cell_is_shown(self):
        result = self.run_cell("import matplotlib.pyplot as plt; plt.plot([1]); 1/0")
        self.assertEqual((result.status, len(result.displays)), ("error", 1))

    def test_huge_figures_are_reduced(self):
        result = self.ok("import matplotlib.pyplot as plt; plt.figure(figsize=(300, 300)); plt.plot([1]); None")
        self.assertIn("image/png", result.displays[0])

    def test_programs_started_by_the_user_choose_their_own_backend(self):
        code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import matplotlib.pyplot as p; p.figure(); print(p.get_backend())'], capture_output=True, text=True).stdout"
        self.assertEqual(self.ok(code).text.lower(), "'agg\\n'")


class LeanMatplotlibTest(KernelTest):
    def test_matplotlib_imported_by_the_user(self):
        result = self.ok("import matplotlib.pyplot as plt, os\nplt.plot([1, 2]); print('MPLBACKEND' in os.environ)")
        self.assertEqual((result.stdout, len(result.displays)), ("False\n", 1))


if __name__ == "__main__":
    unittest.main()
