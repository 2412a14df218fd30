"""How displays leave the kernel, and the `display` function of user code."""

import builtins

from sandgate_kernel import bounds
from sandgate_kernel.display import bundle_of, displays_itself
from sandgate_kernel.protocol import Closed


class Publisher:
    """Sends displays of the cell that runs.

    `current` is the one of this process; matplotlib and IPython call our code without an argument to carry it.
    """

    current = None

    def __init__(self, channel, interrupts, origins, late):
        """late(text) takes what threads of earlier cells display."""
        self._channel = channel
        self._interrupts = interrupts
        self._origins = origins
        self._late = late
        self._flush = None
        self.key = 0  # of the running cell; zero while none runs
        self.alive = True

    def install(self, flush):
        """Makes this the publisher of the process. flush() empties the output streams."""
        self._flush = flush
        Publisher.current = self
        builtins.display = display

    def publish(self, bundle):
        """Sends a bundle as a display of the running cell, behind the output printed so far."""
        if not bundle:
            return
        if not self.alive or self.key == 0 or self._origins.is_late():
            # A forked child must not speak, and a late thread's display belongs to no running cell.
            self._late(bundle.get(bounds.PLAIN, ""))
            return
        self._flush()
        message = {"op": "display", "key": self.key, "data": bundle, "main": False}
        try:
            self._channel.send(message)
        except (TypeError, ValueError, RecursionError) as exc:
            note = f"(a display was left out: {type(exc).__name__})"
            self._channel.send({**message, "data": {bounds.PLAIN: note}})
        except Closed:
            self.alive = False
        self._interrupts.check()


def display(*objects, raw=False, **_options):
    """Shows objects in every form that they offer. With raw=True they are MIME bundles already.

    Other options of IPython's function are accepted and have no effect: a display is never changed later.
    """
    publisher = Publisher.current
    for value in objects:
        if raw and isinstance(value, dict):
            publisher.publish(bounds.bounded(value))
        elif not displays_itself(value):
            publisher.publish(bundle_of(value))
