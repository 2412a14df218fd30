"""Charts: what a figure shows, as data."""

import unittest

from support import KernelTest

CHART = "application/vnd.sandgate.chart+json"


class ChartTest(KernelTest):
    template = "data"

    def chart(self, code):
        """Returns the one axes of the chart that code draws."""
        result = self.ok("import matplotlib.pyplot as plt, numpy as np, pandas as pd\n" + code + "\nNone")
        self.assertEqual(len(result.displays), 1, result.stderr)
        return result.displays[0][CHART]["axes"][0]

    def test_line(self):
        axes = self.chart("plt.plot([1, 2], [3, float('nan')], label='up'); plt.axhline(2); plt.title('T'); plt.xlabel('x'); plt.ylabel('y'); plt.yscale('log')")
        self.assertEqual((axes["type"], axes["title"], axes["xLabel"], axes["yLabel"]), ("line", "T", "x", "y"))
        self.assertEqual((axes["xScale"], axes["yScale"]), ("linear", "log"))
        self.assertEqual(axes["series"], [{"label": "up", "points": [{"x": 1, "y": 3}, {"x": 2, "y": None}]}])

    def test_dates_and_categories(self):
        axes = self.chart("plt.plot(pd.to_datetime(['2020-01-01', '2020-01-02']), [1, 2])")
        self.assertEqual(axes["xScale"], "datetime")
        self.assertTrue(axes["series"][0]["points"][0]["x"].startswith("2020-01-01"))
        axes = self.chart("plt.scatter(['a', 'b'], [1, 2])")
        self.assertEqual((axes["type"], axes["xScale"], axes["series"][0]["points"][1]), ("scatter", "categorical", {"x": "b", "y": 2.0}))

    def test_scatter(self):
        axes = self.chart("plt.scatter([1, 2], [3, 4], label='s'); plt.plot([1], [2], 'o')")
        self.assertEqual((axes["type"], len(axes["series"])), ("scatter", 2))
        self.assertEqual(axes["series"][0], {"label": "s", "points": [{"x": 1.0, "y": 3.0}, {"x": 2.0, "y": 4.0}]})

    def test_bars(self):
        axes = self.chart("plt.bar(['a', 'b'], [1, 2], label='g'); plt.bar(['a', 'b'], [3, 4], bottom=[1, 2], label='h')")
        self.assertEqual(axes["type"], "bar")
        self.assertEqual(axes["series"][1]["bars"], [{"label": "a", "value": 3.0, "group": "h"}, {"label": "b", "value": 4.0, "group": "h"}])
        axes = self.chart("plt.barh(['a', 'b'], [1, 2])")
        self.assertEqual([(bar["label"], bar["value"]) for bar in axes["series"][0]["bars"]], [("a", 1.0), ("b", 2.0)])
        axes = self.chart("pd.DataFrame({'u': [1, 2], 'v': [3, 4]}, index=['p', 'q']).plot.bar()")
        self.assertEqual([bar["label"] for bar in axes["series"][1]["bars"]], ["p", "q"])
        axes = self.chart("plt.hist([0.1, 0.2, 0.9], bins=[0, 0.5, 1])")
        self.assertEqual([(bar["label"], bar["value"]) for bar in axes["series"][0]["bars"]], [("0 to 0.5", 2.0), ("0.5 to 1", 1.0)])

    def test_pie(self):
        axes = self.chart("plt.pie([1, 3], labels=['a', 'b'])")
        self.assertEqual(axes["type"], "pie")
        self.assertEqual([(bar["label"], round(bar["value"], 3)) for bar in axes["series"][0]["bars"]], [("a", 0.25), ("b", 0.75)])

    def test_boxes(self):
        for code in ("plt.boxplot([[1, 2, 3, 4, 100]], tick_labels=['a'])", "pd.DataFrame({'a': [1, 2, 3, 4, 100]}).boxplot()"):
            axes = self.chart(code)
            self.assertEqual((axes["type"], len(axes["series"])), ("box", 1))
            box = axes["series"][0]["boxes"][0]
            self.assertEqual((box["min"], box["median"], box["max"], box["outliers"]), (1.0, 3.0, 4.0, [100.0]))

    def test_seaborn(self):
        axes = self.chart("import seaborn as sns; sns.boxplot(x=['a'] * 5 + ['b'] * 5, y=range(10))")
        self.assertEqual(axes["type"], "box")
        axes = self.chart("sns.barplot(x=['a', 'b'], y=[1, 2])")
        self.assertEqual((axes["type"], axes["series"][0]["bars"][0]["label"]), ("bar", "a"))

    def test_others(self):
        self.assertEqual(self.chart("plt.imshow([[1, 2]])")["type"], "unknown")
        result = self.ok("fig, axs = plt.subplots(1, 2); axs[1].plot([1]); fig.suptitle('S'); None")
        chart = result.displays[0][CHART]
        self.assertEqual((len(chart["axes"]), chart["title"]), (1, "S"))
        self.assertNotIn(CHART, self.ok("plt.figure(); None").displays[0])
        self.assertEqual(len(self.chart("plt.plot(range(100_000))")["series"][0]["points"]), 5000)


if __name__ == "__main__":
    unittest.main()
