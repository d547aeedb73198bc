"""A marimo that is not the one kernel.py was written for is refused at start, by name. Starting leaves no traces."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from executor_worker.runner import contract
from tests.executor_worker.notebook.conftest import ROOT, Runner

BEGIN = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
WARM_UP = "from executor_worker.runner import notebook\nnotebook.warm_up()\n"

# name, what is wrong with marimo, what the refusal says
BROKEN = [
    (
        "version",
        "import importlib.metadata\nimportlib.metadata.version = lambda name: '0.26.0'\n",
        "marimo 0.26.0 is installed; this runner is written for marimo==0.25.2",
    ),
    (
        "missing_function",
        "import marimo._runtime.kernel_lifecycle as lifecycle\ndel lifecycle.create_kernel\n",
        "marimo 0.25.2 lacks a private name kernel.py uses: cannot import name 'create_kernel'",
    ),
    (
        "missing_module",
        "sys.modules['marimo._runtime.executor'] = None\n",
        "marimo 0.25.2 lacks a private name kernel.py uses: import of marimo._runtime.executor halted",
    ),
    (
        "missing_method",
        "from marimo._runtime.runtime import Kernel\ndel Kernel.mutate_graph\n",
        "'Kernel' object has no attribute 'mutate_graph'",
    ),
    (
        "stops_are_not_told",
        "import marimo\nmarimo.stop = lambda *a: None\n",
        "a cell that `stops` came out as ('ok', None), not as ('stopped', None)",
    ),
    (
        "tables_are_not_shown",
        "from marimo._output import formatting as f\nf.try_format = lambda *a, **k: f.FormattedOutput.empty()\n",
        "a cell of numpy showed [], not text/html",
    ),
]


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_another_marimo_is_refused_by_name(notebook_python: Path, change: str, words: str) -> None:
    run = subprocess.run(
        [notebook_python, "-I", "-c", BEGIN + change + WARM_UP], capture_output=True, text=True, timeout=60
    )

    assert run.returncode == 1
    assert "ContractBroken" in run.stderr.splitlines()[-1]
    assert words in run.stderr.splitlines()[-1]


LOOK = """
import os
def look():
    python = [list(sys.path), sys.argv, sys.modules["__main__"], sys.stdin, sys.stdout, sys.stderr]
    return [*python, sys.getrecursionlimit(), os.fork, os.getcwd(), len(os.listdir("/proc/self/task"))]
before = look()
"""


def test_warming_up_leaves_the_process_as_it_was(notebook_python: Path) -> None:
    compare = "after = look()\nprint([pair for pair in zip(before, after) if pair[0] != pair[1]])\n"

    run = subprocess.run(
        [notebook_python, "-I", "-c", BEGIN + LOOK + WARM_UP + compare], capture_output=True, text=True, timeout=60
    )

    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_the_pinned_marimo_is_the_one_that_is_expected() -> None:
    assert f"marimo=={contract.MARIMO}" in (ROOT / "requirements" / "notebook.in").read_text()


def test_facts_name_what_a_program_may_import(runner: Runner) -> None:
    facts = runner.hello["facts"]

    assert facts["marimo"] == "0.25.2"
    assert facts["python"].startswith("3.")
    assert {"numpy", "pandas", "matplotlib", "altair"} <= {package["name"] for package in facts["packages"]}
