"""Make a forked child of the zygote look like a Python that was started for one program only.

What a fork inherits and a program could notice, or should not see: random states, exit handlers, our
modules. And what the sandbox refuses is refused here first, in words.
"""

from __future__ import annotations

import _posixsubprocess
import atexit
import builtins
import errno
import gc
import linecache
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from executor_worker.runner.console import Console, Stdin, asking_for
from executor_worker.runner.errors import NO_PROCESSES

OURS = "executor_worker"
PYTHONS_RECURSION_LIMIT = 1000
_STARTS_A_PROCESS = (
    *("fork", "forkpty", "posix_spawn", "posix_spawnp", "system"),
    *("execv", "execve", "execl", "execle", "execlp", "execlpe", "execvp", "execvpe"),
)

_is_prepared = False


def begin(filename: str, source: str, console: Console, stdin: Stdin) -> None:
    """Everything a program may look at before its first line."""
    if not _is_prepared:
        prepare()
    _know_the_source(filename, source)
    sys.stdin = sys.__stdin__ = stdin  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = console.stdout  # type: ignore[misc, assignment]
    sys.stderr = sys.__stderr__ = console.stderr  # type: ignore[misc, assignment]
    builtins.input = asking_for(stdin)


def prepare() -> None:
    """The part that can be done before the program is known."""
    global _is_prepared
    gc.enable()
    _forget_the_zygote()
    _draw_new_random_numbers()
    for name in _STARTS_A_PROCESS:
        setattr(os, name, _refuse_process)
    subprocess._fork_exec = _posixsubprocess.fork_exec = _refuse_process  # type: ignore[attr-defined]
    _is_prepared = True


def allow_recursion() -> None:
    """Give the caller the depth of a program that Python itself started: the frames below do not count."""
    depth, frame = 0, sys._getframe().f_back
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(PYTHONS_RECURSION_LIMIT + depth)


def end() -> None:
    """What Python does after a script's last line: wait for its threads, then run its exit handlers."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()


def wait_for_threads(seconds: float) -> None:
    """Give threads that a notebook left behind the time to finish, but not for ever."""
    deadline = time.monotonic() + seconds
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))


def _forget_the_zygote() -> None:
    atexit._clear()
    tempfile.tempdir = None
    for name in [name for name in sys.modules if name == OURS or name.startswith(f"{OURS}.")]:
        del sys.modules[name]
    home = Path(__file__).parents[2]
    ours = {str(home), str(home / OURS), str(Path(__file__).parent)}
    sys.path[:] = [place for place in sys.path if place not in ours]


def _draw_new_random_numbers() -> None:
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _know_the_source(filename: str, source: str) -> None:
    """For tracebacks and inspect, even when the program has deleted its own file or changed directory."""
    lines = [f"{line}\n" for line in source.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    linecache.clearcache()
    linecache.cache[filename] = (len(source), None, lines, filename)


def _refuse_process(*_: Any, **__: Any) -> NoReturn:
    raise PermissionError(errno.EPERM, NO_PROCESSES)
