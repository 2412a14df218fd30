"""Running one cell from request to reply.

The steps are kept in a `Run`, so that they can be taken up again: a signal handler or alarm that user code
left behind may raise anywhere, also here, and must cost neither the reply nor the kernel.
"""

import builtins
import sys
from _signal import SIG_BLOCK, SIG_UNBLOCK, pthread_sigmask
from os import _exit, dup2, environ, getpid

from sandgate_kernel import figures, layout, tracebacks
from sandgate_kernel.display import bundle_of, displays_itself
from sandgate_kernel.execution import Compiler, Results, Runner
from sandgate_kernel.outcome import Run, exit_code, flush
from sandgate_kernel.protocol import ALL_SIGNALS, Closed

RETRIES = 100
RETRIES_IN_STORM = 10
RETRIES_FOR_REPLY = 30
RECURSION_FLOOR = 1_000
get_limit, set_limit = sys.getrecursionlimit, sys.setrecursionlimit
get_trace, set_trace = sys.gettrace, sys.settrace
get_profile, set_profile = sys.getprofile, sys.setprofile


def is_parsers_own(failure):
    """Says whether a MemoryError is the parser's, who raises it for code that is nested too deep."""
    arguments = failure.args
    return len(arguments) == 1 and type(arguments[0]) is str and arguments[0].startswith("Parser stack overflowed")


def is_variable(item):
    """Says whether the system takes a name and a value as a variable of the environment."""
    name, value = item
    return isinstance(value, str) and "\0" not in value and name != "" and "=" not in name and "\0" not in name


class Session:
    """Runs the cells of one kernel, one after another, in the main thread."""

    def __init__(self, parts, namespace, ipython):
        """parts has channel, interrupts, origins, stdout, stderr and publisher."""
        self._parts = parts
        self._pid = getpid()
        self._ipython = ipython
        self._sources = tracebacks.Sources()
        self.compiler = Compiler(ipython.transform)
        self._runner = Runner(namespace)
        self._results = Results(namespace)
        self._count = 0
        self._last = 0
        self._current = None
        self._descriptors_in_doubt = False
        self._tracing = (None, None, 0)
        self._displayhook = sys.displayhook
        self._builtins = dict(builtins.__dict__)

    def run(self, message):
        """Runs the cell of a message and sends the reply. Raises Closed when the guest is gone."""
        run = self._current
        if run is None or run.message is not message:
            if not self._is_new_cell(message):
                return
            run = Run(message)
            self._current = run
            self._last = run.number
        for attempt in range(RETRIES):
            try:
                if attempt == RETRIES_IN_STORM:
                    pthread_sigmask(SIG_BLOCK, ALL_SIGNALS)  # timers that fire faster than a reply is made
                self._advance(run)
                break
            except Closed:
                raise
            except BaseException:
                if attempt == RETRIES_FOR_REPLY:
                    run.reply = run.bare_reply(self._count + 1)
                continue
        else:
            raise Closed
        self._current = None  # a result can be large
        if attempt >= RETRIES_IN_STORM:
            pthread_sigmask(SIG_UNBLOCK, ALL_SIGNALS)

    def _is_new_cell(self, message):
        """Says no to junk and to cells that ran already."""
        number = message.get("cell")
        env = message.get("env") or {}
        if type(number) is not int or number <= self._last or type(message.get("key")) is not int:
            return False
        if not isinstance(message.get("code", ""), str) or not isinstance(env, dict):
            return False
        return all(map(is_variable, env.items()))

    def _advance(self, run):
        if not run.prepared:
            self._prepare(run)
            run.prepared = True
        if not run.started:
            run.started = True
            self._execute(run)
        if not run.left:
            self._leave_user_code()
            run.left = True
        # The hook for forks has noted all but those made without Python.
        if not self._parts.publisher.alive or getpid() != self._pid:
            self._end_child(run)
        if run.reply is None:
            run.reply = self._conclude(run)
        if not run.ended:
            self._restore(run)
            run.ended = True
        self._reply(run)

    def _reply(self, run):
        try:
            self._parts.channel.send(run.reply)
        except (TypeError, ValueError, RecursionError) as exc:
            if "result" not in run.reply:
                raise
            # Within its bounds, and yet too much once everything in it is escaped.
            note = f"(the result was left out: {type(exc).__name__})"
            run.reply["result"] = {"text/plain": note}
            self._parts.channel.send(run.reply)

    def _prepare(self, run):
        """Undoes what earlier cells may have done to what every cell may rely on."""
        parts = self._parts
        if self._descriptors_in_doubt:
            dup2(layout.FD_STDOUT, 1)
            dup2(layout.FD_STDERR, 2)
            self._descriptors_in_doubt = False
        sys.stdout = parts.stdout
        sys.stderr = parts.stderr
        if len(builtins.__dict__) < len(self._builtins):  # some were deleted; those that were replaced stay so
            for name, value in self._builtins.items():
                builtins.__dict__.setdefault(name, value)
        if sys.path_importer_cache.get(layout.USER_SITE, run) is None:
            del sys.path_importer_cache[layout.USER_SITE]  # it did not exist; pip may have made it
        if not run.saved:
            run.saved = [(name, environ.get(name)) for name in run.env]
        for name, value in run.env.items():
            environ[name] = value
        if run.argv is not None:
            sys.argv = list(run.argv)
        parts.origins.begin(run.number)
        parts.publisher.key = run.key
        parts.interrupts.install()
        parts.interrupts.begin(run.number)

    def _execute(self, run):
        trace, profile, limit = self._tracing
        try:
            if limit:
                set_limit(limit)
            if profile is not None:
                set_profile(profile)
            if trace is not None:
                set_trace(trace)
            self._parts.interrupts.call(self._user_phase, run)
        except BaseException as exc:
            run.failure = exc

    def _leave_user_code(self):
        """Takes off what user code put over the interpreter; the next cell gets it back."""
        trace, profile, limit = get_trace(), get_profile(), get_limit()
        if trace is not None:
            set_trace(None)
        if profile is not None:
            set_profile(None)
        if limit < RECURSION_FLOOR:
            set_limit(RECURSION_FLOOR)
        self._tracing = (trace, profile, limit if limit < RECURSION_FLOOR else 0)

    def _user_phase(self, run):
        """Everything of a cell that runs code of the user; all of it can be interrupted."""
        name = f"<cell {run.number}>"
        self._sources.add(name, run.code)
        cell = self.compiler.compile(run.code, name)
        value = self._runner.run(cell)
        if value is not None and not cell.silent:
            self._show_value(run, value)
        self._ipython.raise_shown_error()
        if self._parts.publisher.alive:
            figures.show_all(self._parts.publisher.publish)

    def _show_value(self, run, value):
        hook = getattr(sys, "displayhook", None)
        if not callable(hook):
            hook = sys.displayhook = self._displayhook
        if hook is not self._displayhook and not self._ipython.owns_hook(hook):
            hook(value)  # chosen by user code, as sympy's init_printing does
        elif not displays_itself(value):
            run.result = bundle_of(value)
        self._results.keep(value)

    def _conclude(self, run):
        """Makes the reply."""
        parts = self._parts
        failure = run.failure
        reply = {"op": "done", "key": run.key, "status": "ok", "count": self._count + 1}
        if failure is not None:
            self._quietly(figures.show_all, parts.publisher.publish)
            self._describe(run, failure, reply)
        elif run.result:
            reply["result"] = run.result
        streams = getattr(sys, "stdout", None), getattr(sys, "stderr", None)
        if streams != (parts.stdout, parts.stderr):
            self._quietly(flush, *streams)
        settled = parts.stdout.settle() and parts.stderr.settle()
        if not settled or "dup" in run.code or "close" in run.code:
            self._descriptors_in_doubt = True  # put right before the next cell, not before every one
        return reply

    def _describe(self, run, failure, reply):
        if isinstance(failure, SystemExit):
            reply["status"] = "exit"
            reply["exit_code"] = self._quietly(exit_code, failure) or 0
            return
        if isinstance(failure, KeyboardInterrupt):
            reply["status"] = "interrupted"
        elif isinstance(failure, MemoryError) and not is_parsers_own(failure):
            reply["status"] = "memory"
        else:
            reply["status"] = "error"
        error = self._quietly(tracebacks.describe, failure)
        name = type(failure).__name__
        reply["error"] = error or {"name": name, "value": "", "traceback": name}

    def _quietly(self, function, *arguments):
        """Calls what may run user code, such as a __str__; an interrupt ends it too."""
        try:
            return self._parts.interrupts.call(function, *arguments)
        except BaseException:
            return None

    def _restore(self, run):
        parts = self._parts
        parts.interrupts.end()
        parts.interrupts.install()
        parts.publisher.key = 0
        self._count += 1
        for name, value in run.saved:
            if value is None:
                environ.pop(name, None)
            else:
                environ[name] = value
        run.failure = None  # its frames hold every variable of the functions that it went through

    def _end_child(self, run):
        """Ends a process that user code forked and that came to the end of the cell, as a script would."""
        code = 0
        try:
            if isinstance(run.failure, SystemExit):
                code = exit_code(run.failure)
            elif run.failure is not None:
                code = 1
                sys.stderr.write(tracebacks.describe(run.failure)["traceback"])
            flush(sys.stdout, sys.stderr, self._parts.stdout, self._parts.stderr)
        except BaseException:
            code = code or 1
        finally:
            _exit(code & 0xFF)
