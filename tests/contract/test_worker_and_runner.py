"""The real runner and the worker understand each other: what a real program does earns the right status."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from executor_worker.languages import LANGUAGES
from executor_worker.result import result_of
from executor_worker.runner_client import RunnerClient
from executor_worker.verdict import judge
from service_kit.messages import Limits
from tests.executor_worker.runner.running import PYTHON, Runner

LIMITS = Limits(cpu_ms=1500, wall_ms=6000, memory_kib=128 * 1024, output_bytes=4096)

NOTEBOOK = """\
import marimo

app = marimo.App()


@app.cell
def _():
    x = 1
    print("жук")
    return (x,)


@app.cell
def _(x):
    y = x / {divisor}
    return (y,)


@app.cell
def _(y):
    y
    return
"""
FORGE = """\
import os
for descriptor in range(3, 64):
    try:
        os.write(descriptor, {frame!r})
    except OSError:
        pass
"""

# Source, the status it earns, words of the error.
PROGRAMS = {
    "hello": ("print('hello')", "completed", ""),
    "stdin": ("print(input())", "completed", ""),
    "notebook": (NOTEBOOK.format(divisor=2), "completed", ""),
    "exit()": ("exit()", "completed", ""),
    "sys.exit(3)": ("import sys\nsys.exit(3)", "runtime_error", "3"),
    "raises": ("1 / 0", "runtime_error", "division by zero"),
    "a cell raises": (NOTEBOOK.format(divisor=0), "runtime_error", "division by zero"),
    "syntax": ("def f(:", "compilation_error", ""),
    "empty": ("", "compilation_error", "empty"),
    "cycle": (NOTEBOOK.replace("x = 1", "x = y").format(divisor=1), "compilation_error", "wait for each other"),
    "endless": ("print('started', flush=True)\nwhile True: pass", "time_limit_exceeded", "processor time"),
    "memory": ("kept = []\nwhile True: kept.append(bytearray(10**7))", "memory_limit_exceeded", "128 MiB"),
    "flood": ("while True: print('x' * 100)", "output_limit_exceeded", "4 KiB"),
    "crash": ("import ctypes\nctypes.string_at(0)", "runtime_error", "SIGSEGV"),
    "os._exit(0)": ("import os\nos._exit(0)", "runtime_error", "ended itself"),
    "both channels in turn": (
        "import sys\nfor _ in range(1000):\n    print('a')\n    print('b', file=sys.stderr)",
        "completed",
        "",
    ),
    # It also reaches the descriptor on which a program says that it is finished, and is ended for that.
    "done, forged": (FORGE.format(frame=b'\0\0\0\x0f{"type":"done"}'), "runtime_error", "the program"),
    "junk": (FORGE.format(frame=b"\xff" * 100), "runtime_error", "result channel"),
}


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    if not PYTHON.exists():
        pytest.fail("there is no .venv-notebook: ./labs test makes it")
    with Runner() as running:
        yield running


def run(runner: Runner, source: str) -> dict[str, Any]:
    job = {"source": source, "filename": LANGUAGES["python"].filename(source), "stdin": "Ada\n"}
    outcome = RunnerClient(runner.path).run(job, LIMITS, threading.Event())
    return result_of(outcome, judge(outcome, LIMITS), LIMITS)


def test_the_runner_says_what_the_worker_wants_to_know(runner):
    hello = RunnerClient(runner.path).hello()

    assert hello.marimo == "0.25.2"
    assert {"numpy", "pandas", "matplotlib", "altair"} <= {package["name"] for package in hello.packages}


@pytest.mark.parametrize(("source", "status", "words"), PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_real_program_earns_its_status(runner, source, status, words):
    result = run(runner, source)

    assert result["status"] == status, result["error"]
    assert words in (result["error"] or {"message": ""})["message"]
    assert result["isolation"] in ("namespaces", "processes")
    assert result["wall_time"] >= 0
    if status == "completed":
        assert result["cells"]
        assert {cell["status"] for cell in result["cells"]} == {"ok"}


def test_the_cells_of_a_notebook_come_with_their_places_and_their_graph(runner):
    result = run(runner, NOTEBOOK.format(divisor=0))

    first, second, third = result["cells"]
    assert [cell["status"] for cell in result["cells"]] == ["ok", "error", "not_run"]
    assert result["error"]["cell_id"] == second["id"]
    assert result["error"]["line"] == 15
    assert [first["id"], second["id"]] in result["graph"]["edges"]
    assert result["stdout"] == "жук\n"
    assert third["outputs"] == []


def test_what_an_endless_program_printed_is_kept(runner):
    result = run(runner, PROGRAMS["endless"][0])

    assert result["stdout"] == "started\n"
    assert result["cells"][0]["status"] == "interrupted"
    assert result["run_time"] >= 1400
