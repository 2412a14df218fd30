"""The matplotlib backend of the kernels: figures are shown as displays of the cell, then closed.

matplotlib loads it by name, as module://sandgate_kernel.mpl_backend. It draws with Agg and needs no screen.
"""

from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sandgate_kernel import charts, figures
from sandgate_kernel.publisher import Publisher


class FigureManager(FigureManagerBase):
    """Shows figures by publishing them."""

    sandgate_inline = True

    def show(self):
        """Shows this figure."""
        _publish(figures.bundle(self.canvas.figure))

    @classmethod
    def pyplot_show(cls, *, block=None):
        """Shows every open figure: plt.show()."""
        figures.show_all(_publish)


class FigureCanvas(FigureCanvasAgg):
    """An Agg canvas whose manager publishes."""

    manager_class = FigureManager


def _publish(bundle):
    if Publisher.current is not None:
        Publisher.current.publish(bundle)


charts.record_boxes(Axes)
