"""How a submission becomes a program: a marimo notebook cell by cell, or a plain script as a single cell.

Reading is static. Nothing of the file runs here, so code outside a notebook's cells never runs at all:
it is no part of the notebook, as in marimo itself.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from json import loads
from typing import Any

from executor_worker.runner import kernel
from executor_worker.runner.cells import Cell, Program
from executor_worker.runner.complaints import Invalid, about_source, complaint
from executor_worker.runner.script import compile_script

MOST_CELLS = 1000  # What the worker takes.
_NAMES_MARIMO = re.compile(r"marimo-version\s*:").match


def read_program(source: str, filename: str) -> Program:
    """The program in `source`. Raises Invalid when no part of it can run."""
    source = source.removeprefix("\ufeff")  # Some editors' mark at the start of a file, which Python skips too.
    if not source.strip():
        raise Invalid(complaint("empty", "There is no code to run: the file is empty."))
    try:
        if _is_markdown_notebook(source):
            return _notebook(source, filename, *kernel.read_markdown_notebook(source))
        return _notebook_or_script(source, filename)
    except kernel.Unreadable as error:
        raise Invalid(complaint("unreadable", f"marimo cannot read this notebook: {error}")) from None


def _is_markdown_notebook(source: str) -> bool:
    """Whether it begins with a block between dashes that names marimo's version. Python never does."""
    opening, *rest = _lines(source.lstrip())
    return opening == "---" and "---" in rest and any(_NAMES_MARIMO(line) for line in rest[: rest.index("---")])


def _notebook_or_script(source: str, filename: str) -> Program:
    if "marimo" in source:
        _read_by_python(source, filename, ast.parse)
        with suppress(kernel.Foreign):
            return _notebook(source, filename, *kernel.read_python_notebook(source))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SyntaxWarning)
        code = _read_by_python(source, filename, compile_script)
    _refuse_jupyter(source)
    advice = "".join(warnings.formatwarning(each.message, each.category, filename, each.lineno, "") for each in said)
    cell = Cell(next(kernel.fresh_ids()), kernel.NAMELESS, source)
    return Program("script", filename, source, (cell,), script=code, advice=advice)


def _read_by_python(source: str, filename: str, read: Callable[[str, str], Any]) -> Any:
    try:
        return read(source, filename)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise Invalid(about_source(error, filename, source)) from None


def _refuse_jupyter(source: str) -> None:
    """A notebook file of Jupyter is JSON, and most JSON is Python too: it would run, and do nothing."""
    if source.lstrip().startswith("{") and _is_jupyter(source):
        command = "marimo convert notebook.ipynb -o notebook.py"
        raise Invalid(complaint("jupyter", f"This is a Jupyter notebook file. Convert it first: {command}"))


def _is_jupyter(source: str) -> bool:
    try:
        return "nbformat" in loads(source)
    except (ValueError, RecursionError):
        return False


def _notebook(source: str, filename: str, cells: list[Cell], app_options: dict[str, Any]) -> Program:
    if not cells:
        raise Invalid(complaint("no-cells", "There is no code to run: the notebook has no cells.", 1))
    if len(cells) > MOST_CELLS:
        raise Invalid(complaint("too-many-cells", f"The notebook has {len(cells)} cells; {MOST_CELLS} is the most.", 1))
    return Program("notebook", filename, source, tuple(_placed(cells, source)), app_options)


def _placed(cells: list[Cell], source: str) -> list[Cell]:
    """The cells with the place of their code in the file.

    marimo tells a line too, but it is the decorator's, the def's or the first of the code, by kind of cell, and
    counted from where blank lines at the start were cut away. So from there we look for the code itself.
    """
    raw = _lines(source)
    lines = [line.strip() for line in raw]
    cut_away = next(number for number, line in enumerate(lines) if line)
    after = 0
    placed = []
    for cell in cells:
        wanted = [line.strip() for line in _lines(cell.code)]
        first = next((number for number, text in enumerate(wanted) if text), None)
        told = max(after, cut_away + cell.line - 1)
        found = None if first is None else _find(wanted[first : first + 3], lines, told, after)
        if found is None or first is None:
            placed.append(replace(cell, line=max(cell.line + 1, after + 1)))
            continue
        after = found + 1
        # Within a line that also holds the `def`, what stands before the code counts as its indent.
        indent = raw[found].find(wanted[first])
        own = _lines(cell.code)[first]
        placed.append(replace(cell, line=found + 1 - first, indent=indent - (len(own) - len(own.lstrip()))))
    return placed


def _find(wanted: list[str], lines: list[str], *starts: int) -> int | None:
    """The first place, from one of the starts on, where these lines stand together.

    Failing that, where the first of them stands within a line.
    """
    for start in starts:
        for place in range(start, len(lines) - len(wanted) + 1):
            if lines[place : place + len(wanted)] == wanted:
                return place
    return next((place for place in range(starts[0], len(lines)) if wanted[0] in lines[place]), None)


def _lines(text: str) -> list[str]:
    """Lines as Python counts them; str.splitlines() would also cut at form feeds and Unicode separators."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
