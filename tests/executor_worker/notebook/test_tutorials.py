"""Every notebook marimo ships as its tutorial comes out of our runner as out of `marimo export session`.

Compared cell by cell: whether it ran, whether it shows something, and what kind of error it gave.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.executor_worker.notebook.conftest import NOTEBOOK_PYTHON, Runner

TUTORIALS = (
    "dataflow.py",
    "external_dependencies.py",
    "fileformat.py",
    "for_jupyter_users.py",
    "intro.py",
    "layout.py",
    "markdown.py",
    "markdown_format.md",
    "plots.py",
    "sql.py",
    "ui.py",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tutorials(notebook_python: Path) -> Path:
    where = "import marimo._tutorials as t; print(list(t.__path__)[0])"
    found = subprocess.run([notebook_python, "-I", "-c", where], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


@pytest.fixture(scope="module")
def exported(tutorials: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what marimo's own command line makes of all of them, in one go."""
    folder = tmp_path_factory.mktemp("tutorials")
    for name in TUTORIALS:
        shutil.copy(tutorials / name, folder / name)
    marimo = NOTEBOOK_PYTHON.with_name("marimo")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "MARIMO_SKIP_UPDATE_CHECK": "1", "LANG": "C.UTF-8"}
    # Some tutorials fail on purpose, so the exit code says nothing. The sessions must be there.
    subprocess.run([marimo, "export", "session", "."], cwd=folder, env=environment, capture_output=True, timeout=170)
    return folder / "__marimo__" / "session"


def test_no_tutorial_is_forgotten(tutorials: Path) -> None:
    shipped = {path.name for path in tutorials.iterdir() if path.suffix in (".py", ".md")}

    assert shipped - {"__init__.py", "README.md"} == set(TUTORIALS)


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_has_the_outcomes_of_marimos_own_export(
    runner: Runner, tutorials: Path, exported: Path, name: str
) -> None:
    session = json.loads((exported / f"{name}.json").read_text())

    told = runner.run((tutorials / name).read_text(), filename="notebook.py", seconds=60)

    assert told.account.done
    assert [our_outcome(cell) for cell in told.cells] == [marimos_outcome(cell) for cell in session["cells"]]
    assert [cell["id"] for cell in told.cells] == [cell["id"] for cell in session["cells"]]
    assert [bool(cell["outputs"]) for cell in told.cells] == [shows_something(cell) for cell in session["cells"]]
    assert (told.account.invalid is not None) == any(
        marimos_outcome(cell) in ("multiple-defs", "cycle") for cell in session["cells"]
    )


def our_outcome(cell: dict[str, Any]) -> str:
    kind = cell["error"] and cell["error"]["type"]
    if cell["status"] == "not_run":
        return "ancestor"
    if cell["status"] == "error":
        return {"multiple-definitions": "multiple-defs", "cycle": "cycle"}.get(kind, "exception")
    return "ok" if cell["status"] in ("ok", "stopped", "disabled") else str(cell["status"])


def marimos_outcome(cell: dict[str, Any]) -> str:
    for output in cell["outputs"]:
        if output["type"] == "error":
            is_ancestors = output["ename"].startswith("ancestor") or output["evalue"].startswith("An ancestor raised")
            return "ancestor" if is_ancestors else str(output["ename"])
    return "ok"


def shows_something(cell: dict[str, Any]) -> bool:
    return any(any(output["data"].values()) for output in cell["outputs"] if output["type"] == "data")
