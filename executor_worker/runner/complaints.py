"""Why a program cannot run as it stands, in words its student understands, by the lines of their own file."""

from __future__ import annotations

import traceback
from typing import Any

from executor_worker.runner.cells import Cell, Problem, Program

Complaint = dict[str, Any]  # type, message, line; where known also cell_id, name, column and traceback.

MOST_TEXT = 4_000


class Invalid(Exception):
    """Nothing of the file can run."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(complaint["message"])
        self.complaint = complaint


def complaint(kind: str, message: str, line: int | None = None, **more: Any) -> Complaint:
    return {"type": kind, "message": message[:MOST_TEXT], "line": line, **more}


def about_source(error: BaseException, filename: str, source: str) -> Complaint:
    """What Python's parser says of the whole file."""
    if isinstance(error, SyntaxError) and "null bytes" not in str(error.msg):
        return _about_syntax(error, filename, _hint_for_script(error))
    if "\0" in source:
        line = source.count("\n", 0, source.index("\0")) + 1
        return complaint("syntax", f"Line {line} holds a NUL character, which no Python program may.", line)
    if isinstance(error, RecursionError | MemoryError):
        return complaint(
            "syntax", "The program is nested too deeply: Python cannot read it. Break it into smaller parts."
        )
    if isinstance(error, UnicodeError):
        return complaint("syntax", "The program holds characters that are no text (lone surrogates).")
    return complaint("syntax", f"Python cannot read the program: {error}")


def about_cells(problems: list[Problem], program: Program) -> list[Complaint]:
    """One complaint for each thing to mend, first lines first: a name defined twice is one thing, not two."""
    found = []
    seen = set()
    for problem in problems:
        together = frozenset({problem.cell_id, *problem.others, *(end for a, _, b in problem.links for end in (a, b))})
        if (thing := (problem.kind, problem.name, together)) not in seen:
            seen.add(thing)
            found.append(about_cell(problem, program))
    return sorted(found, key=lambda each: each["line"] or 0)


def about_cell(problem: Problem, program: Program) -> Complaint:
    """The same, as it is shown beside one of the cells concerned."""
    cell = program.cell(problem.cell_id)
    if problem.kind in ("syntax", "unparsable") and problem.error is not None:
        return {**_about_unreadable(cell, problem.error, program.filename), "type": problem.kind, "cell_id": cell.id}
    return complaint(problem.kind, _SAYINGS[problem.kind](problem, cell, program), cell.line, cell_id=cell.id)


def place_of(cell: Cell) -> str:
    """How a cell is called when we speak of it: by its name, if it has one, and by its line."""
    return f"the cell at line {cell.line}" if cell.name == "_" else f"the cell `{cell.name}` at line {cell.line}"


# A file that is not Python ------------------------------------------------------------------------------


def _about_syntax(error: SyntaxError, filename: str, hint: str = "") -> Complaint:
    error.filename = filename
    words = f"{str(error.msg)[:1].upper()}{str(error.msg)[1:]}"
    where = f"Line {error.lineno}: " if error.lineno else ""
    shown = "".join(traceback.format_exception_only(error)) if error.lineno else ""
    return complaint(
        "syntax",
        f"{where}{words}.{hint}",
        error.lineno,
        column=error.offset or None,
        traceback=shown[:MOST_TEXT],
    )


def _hint_for_script(error: SyntaxError) -> str:
    if str(error.msg).startswith("'await' outside"):
        return (
            " In a plain script, put it into `async def main():` and call asyncio.run(main());"
            " only a notebook's cells may await."
        )
    text = (error.text or "").lstrip()
    if text.startswith(("!", "%")):
        return " Lines that begin with ! or % are commands of Jupyter, not Python."
    return ""


def _about_unreadable(cell: Cell, error: BaseException, filename: str) -> Complaint:
    """marimo compiled the cell by itself; ask Python again with the cell at its place, so that all lines are right."""
    moved = "\n" * (cell.line - 1) + cell.code
    try:
        compile(moved, filename, "exec", dont_inherit=True)
    except SyntaxError as again:
        error = again
    except (ValueError, RecursionError, MemoryError):
        return about_source(error, filename, cell.code)
    if isinstance(error, SyntaxError):
        return _about_syntax(error, filename, _hint_for_script(error))
    return complaint("syntax", f"Python cannot read {place_of(cell)}: {error}", cell.line)


# Cells that do not go together --------------------------------------------------------------------------


def _say_defined_twice(problem: Problem, cell: Cell, program: Program) -> str:
    cells = sorted((cell, *(program.cell(other) for other in problem.others)), key=lambda each: each.line)
    count = "two" if len(cells) == 2 else str(len(cells))
    lines = " and ".join([", ".join(f"line {each.line}" for each in cells[:-1]), f"line {cells[-1].line}"])
    return (
        f"`{problem.name}` is defined in {count} cells ({lines}). "
        "In a marimo notebook each name has one home: rename one of them, "
        f"or call it `_{problem.name}` where only its own cell needs it."
    )


def _say_cycle(problem: Problem, cell: Cell, program: Program) -> str:
    steps = "; ".join(
        f"{place_of(program.cell(giver))} gives {_names(names)} to {place_of(program.cell(taker))}"
        for giver, names, taker in problem.links
    )
    return f"These cells wait for each other, so none of them can run first: {steps}. Break the circle at one place."


def _say_import_star(problem: Problem, cell: Cell, program: Program) -> str:
    return (
        "`from … import *` is not possible in a marimo notebook, because marimo must know which names a cell defines. "
        "Import the names you use."
    )


def _say_setup(problem: Problem, cell: Cell, program: Program) -> str:
    names = sorted({name for _, names, _ in problem.links for name in names})
    return f"The setup cell runs first, so it cannot use {_names(names)}, which other cells define."


def _say_other(problem: Problem, cell: Cell, program: Program) -> str:
    return problem.name or "This cell cannot run."


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names) or "a name"


_SAYINGS = {
    "multiple-definitions": _say_defined_twice,
    "cycle": _say_cycle,
    "import-star": _say_import_star,
    "setup-refs": _say_setup,
    "other": _say_other,
    "syntax": _say_other,
    "unparsable": _say_other,
}
