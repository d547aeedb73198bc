"""A warm runner for these tests: one process with marimo loaded, a fork of it for each program."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from executor_worker.account import AccountReader
from executor_worker.outcome import Account
from local_stack import environments

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOK_PYTHON = environments.notebook_python()
HEADER = "import marimo\n\napp = marimo.App()\n"


@dataclass
class Told:
    """What a run told, read by the worker's own reader: a frame it would refuse fails the test."""

    source: str
    frames: list[dict[str, Any]]
    exit: int
    in_time: bool
    ms: float
    account: Account = field(init=False)

    def __post_init__(self) -> None:
        reader = AccountReader()
        for frame in self.frames:
            reader.take(json.dumps(frame).encode())
        self.account = reader.account
        self.printed_bytes = reader.printed_bytes

    @property
    def invalid(self) -> dict[str, Any]:
        return self.complaints[0]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        assert self.account.invalid is not None, self.frames
        assert self.account.invalid["error"] == self.account.invalid["errors"][0]
        return list(self.account.invalid["errors"])

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells in the order of the file, each with how it ended."""
        return [{**cell, **self.account.finished.get(cell["id"], {})} for cell in self.account.cells]

    @property
    def cell(self) -> dict[str, Any]:
        (only,) = self.cells
        return only

    def line(self, text: str) -> int:
        """The number of the only line of the program that holds this text."""
        (number,) = (place for place, line in enumerate(self.source.split("\n"), start=1) if text in line)
        return number

    def named(self, name: str) -> dict[str, Any]:
        return next(cell for cell in self.cells if cell["name"] == name)

    @property
    def statuses(self) -> list[str]:
        return [cell.get("status", "untold") for cell in self.cells]

    @property
    def stdout(self) -> str:
        return self._printed("stdout")

    @property
    def stderr(self) -> str:
        return self._printed("stderr")

    def _printed(self, channel: str) -> str:
        pieces = [piece for cell in self.cells for piece in cell["console"]]
        return "".join(piece["text"] for piece in pieces if piece["channel"] == channel)


class Runner:
    def __init__(self, process: subprocess.Popen[str], boxes: Path) -> None:
        self._process = process
        self._boxes = boxes
        self._runs = 0
        self.hello = self._answer()

    def run(
        self,
        source: str,
        stdin: str = "",
        filename: str = "main.py",
        files: dict[str, str] | None = None,
        output_bytes: int = 65536,
        seconds: float = 20,
    ) -> Told:
        """Run the program; `files` lie beside it."""
        self._runs += 1
        box = self._boxes / f"box-{self._runs}"
        box.mkdir()
        for name, text in (files or {}).items():
            (box / name).write_text(text)
        job = {"source": source, "filename": filename, "stdin": stdin, "output_bytes": output_bytes}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": job, "box": str(box), "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        return Told(source=source, **self._answer())

    def script(self, source: str, **more: Any) -> Told:
        return self.run(textwrap.dedent(source).lstrip("\n"), **more)

    def notebook(self, *cells: str, **more: Any) -> Told:
        """A notebook of these cells. A cell may bring its own decorator and def; a bare body gets them."""
        return self.run(notebook_source(*cells), filename="notebook.py", **more)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the rehearsal zygote has died"
        return dict(json.loads(line))


def notebook_source(*cells: str) -> str:
    blocks = [HEADER]
    for cell in cells:
        body = textwrap.dedent(cell).strip("\n")
        if not body.startswith(("@app", "with app", "app.")):
            is_async = "await " in body
            body = f"@app.cell\n{'async ' if is_async else ''}def _():\n" + textwrap.indent(body or "pass", "    ")
        blocks.append(body)
    return "\n\n".join(blocks) + "\n"


@pytest.fixture(scope="session")
def notebook_python() -> Path:
    if not NOTEBOOK_PYTHON.exists():
        missing = f"{NOTEBOOK_PYTHON} is not there: ./labs up makes it from requirements/notebook.txt"
        if os.environ.get("CI"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
    return NOTEBOOK_PYTHON


@pytest.fixture(scope="session")
def runner(notebook_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    zygote = Path(__file__).parent / "rehearsal_zygote.py"
    home = tmp_path_factory.mktemp("home")
    with subprocess.Popen(
        [str(notebook_python), "-I", str(zygote)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        text=True,
    ) as process:
        try:
            yield Runner(process, tmp_path_factory.mktemp("boxes"))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)
