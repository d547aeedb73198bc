"""Run one submission as a marimo program and tell how it went: the seam between the sandbox and marimo.

warm_up() once in the zygote, touch() in each child of the pool before it waits, run() in the child whose
turn it is. That child is confined by then, runs one program, and ends after it.
"""

from __future__ import annotations

import gc
import io
import linecache
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor_worker.runner import contract, fresh_python, rehearsal
from executor_worker.runner.complaints import Invalid
from executor_worker.runner.console import Console, Stdin
from executor_worker.runner.errors import Teller
from executor_worker.runner.outbox import Frame, Outbox, Send

if TYPE_CHECKING:  # Both import marimo, which takes a second, and only warm_up() may find out that it is a wrong one.
    from executor_worker.runner import kernel
    from executor_worker.runner.cells import Program
    from executor_worker.runner.program import read_program
    from executor_worker.runner.recorder import Recorder

USUAL_OUTPUT_BYTES = 65536
LATE_THREADS_SECONDS = 2.0


def warm_up() -> None:
    """Load everything once, before any fork, and prove that marimo is the one we know.

    Raises contract.ContractBroken when it is not. Leaves the process with a single thread and, but for what
    is loaded, as it was.
    """
    for library in ("OPENBLAS", "OMP", "MKL"):  # A forked thread is a lost thread: none may be there to fork.
        os.environ[f"{library}_NUM_THREADS"] = "1"
    _load_marimo()
    kernel.prepare_process()
    try:
        rehearsal.check(_rehearse)
    except contract.ContractBroken:
        raise
    except Exception as error:
        raise contract.broken(f"{type(error).__name__}: {error}") from error
    if threading.active_count() > 1:
        raise contract.broken("threads were left over from a run")
    gc.collect()
    gc.freeze()


def touch() -> None:
    """Run what warm_up() ran, in little: the memory a run writes to is this process's own afterwards."""
    for source in rehearsal.SMALL:
        _rehearse(source)
    fresh_python.prepare()


def run(job: dict[str, Any], send: Send, box_dir: str) -> None:
    """Run the job in `box_dir`, sending frames as cells end and `done` at the very end.

    Takes the process over: descriptors 0 to 2, the directory, sys. Nothing else may run in it afterwards.
    """
    outbox = Outbox(send)
    filename = Path(job["filename"]).name or "main.py"
    try:
        program = read_program(job["source"], filename)
    except Invalid as invalid:
        outbox.send({"type": "invalid", "error": invalid.complaint, "errors": [invalid.complaint]})
        outbox.send({"type": "done"})
        return
    box = Path(box_dir)
    os.chdir(box)
    (box / filename).write_text(program.source, encoding="utf-8", newline="")
    console = Console(job.get("output_bytes", USUAL_OUTPUT_BYTES))
    console.tap_descriptors(box)
    stdin = Stdin(job.get("stdin") or "", box)
    fresh_python.begin(program.filename, program.source, console, stdin)
    console.keep_publishing(lambda take: outbox.send_made(lambda: ({"type": "console", **piece} for piece in take())))
    _run_program(program, box / filename, console, stdin, outbox.send, at_exit=fresh_python.end)
    console.close()
    outbox.send({"type": "done"})


def facts() -> dict[str, Any]:
    """What a student's program may import here, and in which Python."""
    found = {each.name: each.version for each in distributions()}
    packages = [{"name": name, "version": found[name]} for name in sorted(found, key=str.lower)]
    return {"python": platform.python_version(), "marimo": found.get("marimo", ""), "packages": packages}


def _load_marimo() -> None:
    global kernel, read_program, Recorder
    contract.check_names()
    from executor_worker.runner import kernel
    from executor_worker.runner.program import read_program
    from executor_worker.runner.recorder import Recorder


def _run_program(
    program: Program, path: Path, console: Console, stdin: Any, send: Send, at_exit: Callable[[], None] = lambda: None
) -> kernel.Session:
    recorder = Recorder(program, console, Teller(program.filename, path.parent, kernel.as_written), send)
    streams = (console.stdout, console.stderr, stdin)
    session = kernel.Session(program, str(path), streams, recorder, at_exit)
    recorder.announce(session.graph())
    if session.problems:
        recorder.complain(session.problems)
    session.run()
    if program.kind == "notebook":
        fresh_python.wait_for_threads(LATE_THREADS_SECONDS)
    recorder.finish(session.is_disabled)
    return session


# Rehearsals -------------------------------------------------------------------------------------------


def _rehearse(source: str) -> list[Frame]:
    """Run a program of our own and give its frames; then put the process back as it was."""
    frames: list[Frame] = []
    with _everything_restored():
        program = read_program(source, "rehearsal.py")
        console = Console(USUAL_OUTPUT_BYTES)
        stdin = io.StringIO()
        _run_program(program, Path("/nowhere/rehearsal.py"), console, stdin, frames.append).close()
    return frames


@contextmanager
def _everything_restored() -> Iterator[None]:
    main, path, argv, limit = sys.modules["__main__"], list(sys.path), sys.argv, sys.getrecursionlimit()
    streams = sys.stdin, sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.modules["__main__"], sys.path[:], sys.argv = main, path, argv
        sys.stdin, sys.stdout, sys.stderr = streams
        sys.setrecursionlimit(limit)
        linecache.clearcache()
