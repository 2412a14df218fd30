"""Turning the text of a cell into code, and running it.

A cell is compiled as a module of which the last statement, when it is an expression, is taken apart: its value
is shown. `await` is allowed outside functions; such code runs on one event loop that the kernel keeps, so
that what one cell opens another can use. Between cells that loop stands still.
"""

from _ast import Expr, Expression, PyCF_ALLOW_TOP_LEVEL_AWAIT, PyCF_ONLY_AST

from sandgate_kernel.hooks import TrustedPath

CO_COROUTINE = 0x80
# The bits of `from __future__ import ...`: an import in one cell holds for those that follow.
FUTURE_FLAGS = 0x1FE0000
MARKS = ("%", "!", "?")


class Cell:
    """The code of one cell: body runs first; expression, if there is one, is evaluated and shown."""

    __slots__ = ("body", "expression", "silent", "waits")

    def __init__(self, body, expression, silent):
        self.body = body
        self.expression = expression
        self.silent = silent
        flags = (body.co_flags if body else 0) | (expression.co_flags if expression else 0)
        self.waits = flags & CO_COROUTINE != 0


class Compiler:
    """Compiles the cells of one kernel."""

    def __init__(self, transform):
        """transform(source) turns IPython's syntax into Python's; it is asked only when that is needed."""
        self._transform = transform
        self._future = 0

    def compile(self, source, name):
        """Returns the Cell of source. Raises SyntaxError and what compile() raises else."""
        flags = PyCF_ALLOW_TOP_LEVEL_AWAIT | self._future
        try:
            tree = compile(source, name, "exec", flags | PyCF_ONLY_AST, True)
        except SyntaxError:
            if not may_be_ipython(source):
                raise
            source = self._transform(source)
            tree = compile(source, name, "exec", flags | PyCF_ONLY_AST, True)
        statements = tree.body
        last = statements.pop() if statements and type(statements[-1]) is Expr else None
        body = expression = None
        if statements:
            body = compile(tree, name, "exec", flags, True)
            self._future |= body.co_flags & FUTURE_FLAGS
        if last is not None:
            flags |= self._future
            expression = compile(Expression(last.value), name, "eval", flags, True)
        return Cell(body, expression, source.rstrip().endswith(";"))


def may_be_ipython(source):
    """Says whether a text that is not Python has a line that IPython could understand."""
    for text in source.splitlines():
        text = text.strip()
        if text and (text.startswith(MARKS) or text.endswith("?") or "= !" in text or "=!" in text):
            return True
        if "= %" in text or "=%" in text:
            return True
    return False


class Runner:
    """Runs code in one namespace. Its methods are called below the interrupts' boundary."""

    def __init__(self, namespace):
        self.namespace = namespace
        self._loop = None
        self._asyncio = None

    def run(self, cell):
        """Runs a Cell and returns the value of its expression. Raises whatever its code raises."""
        if cell.waits:
            return self._await(self._run_both(cell))
        if cell.body is not None:
            eval(cell.body, self.namespace)
        return eval(cell.expression, self.namespace) if cell.expression is not None else None

    async def _run_both(self, cell):
        """Runs a cell of which one half awaits; the other half expects a running loop as well."""
        value = None
        for code in (cell.body, cell.expression):
            if code is not None:
                value = eval(code, self.namespace)
                if code.co_flags & CO_COROUTINE:
                    value = await value
        return value if cell.expression is not None else None

    def _await(self, coroutine):
        loop = self._event_loop()
        task = loop.create_task(coroutine)
        try:
            return loop.run_until_complete(task)
        except BaseException:
            # An interrupt leaves the loop in the middle: let the code see its cancellation and clean up.
            if not task.done() and not loop.is_closed():
                task.cancel()
                self._finish(loop, task)
            raise

    def _finish(self, loop, task):
        try:
            loop.run_until_complete(self._asyncio.wait([task], timeout=1.0))
        except Exception:
            return

    def _event_loop(self):
        if self._asyncio is None:
            with TrustedPath():
                import asyncio
            self._asyncio = asyncio
        if self._loop is None or self._loop.is_closed():
            self._loop = self._asyncio.new_event_loop()
        # asyncio.run() in a cell takes its own loop for the current one, and none when it ends.
        self._asyncio.set_event_loop(self._loop)
        return self._loop


class Results:
    """Keeps the last results as `_`, `__` and `___`, unless user code uses these names itself."""

    __slots__ = ("_namespace", "_last")
    _nothing = object()

    def __init__(self, namespace):
        self._namespace = namespace
        self._last = Results._nothing

    def keep(self, value):
        """Makes value the last result."""
        space = self._namespace
        if space.get("_", self._last) is not self._last:
            return
        if "__" in space:
            space["___"] = space["__"]
        if "_" in space:
            space["__"] = space["_"]
        space["_"] = self._last = value
