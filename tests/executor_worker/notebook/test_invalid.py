"""Programs that cannot run as they stand: what is wrong, in which line, in words a student understands."""

from __future__ import annotations

import pytest

from tests.executor_worker.notebook.conftest import HEADER, Runner, notebook_source

DEEP = "(" * 150 + "1" + ")" * 150

# name, source, type, part of the message, line
UNREADABLE = [
    ("syntax", "x = 1\ny = = 2\n", "syntax", "Line 2: Invalid syntax", 2),
    ("unclosed", "print((1 + 2)\nprint(3)\n", "syntax", "Line 1: '(' was never closed", 1),
    ("indentation", "def f():\nreturn 1\n", "syntax", "Line 2: Expected an indented block", 2),
    ("tabs", "if 1:\n\tx = 1\n        y = 2\n", "syntax", "inconsistent use of tabs", 3),
    ("unterminated", "x = 'abc\n", "syntax", "Line 1: Unterminated string literal", 1),
    ("python2", 'print "hi"\n', "syntax", "Did you mean print(...)?", 1),
    ("jupyter_magic", "%matplotlib inline\nx = 1\n", "syntax", "commands of Jupyter", 1),
    ("nul", "x = 1\ny = '\0'\n", "syntax", "Line 2 holds a NUL character", 2),
    ("empty", "", "empty", "There is no code to run", None),
    ("blank", " \n\t\n", "empty", "There is no code to run", None),
    ("no_cells", f"{HEADER}\nif __name__ == '__main__':\n    app.run()\n", "no-cells", "the notebook has no cells", 1),
    ("long_number", f"x = {'9' * 5000}\n", "syntax", "Exceeds the limit", 1),
    ("deep_parentheses", "x = " + "(" * 500 + ")" * 500, "syntax", "too many nested parentheses", 1),
    ("deep_unary", "x = " + "-" * 100_000 + "1\n", "syntax", "nested too deeply", None),
    ("deep_sum", "x = " + "+".join(["1"] * 100_000) + "\n", "syntax", "nested too deeply", None),
    ("ipynb", '{"cells": [], "nbformat": 4}', "jupyter", "Convert it first", None),
    ("notebook_syntax", notebook_source("x = 1", "y = = x"), "syntax", "Line 12: Invalid syntax", 12),
    ("class_as_cell", f"{HEADER}\n@app.cell\nclass A:\n    pass\n", "unreadable", "cannot be used on classes", None),
    ("surrogate", "x = '\ud800'\n", "syntax", "lone surrogates", None),
]


@pytest.mark.parametrize(
    ("source", "kind", "words", "line"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE]
)
def test_file_that_cannot_be_read_is_invalid(
    runner: Runner, source: str, kind: str, words: str, line: int | None
) -> None:
    told = runner.run(source)

    assert told.invalid["type"] == kind
    assert words.lower() in told.invalid["message"].lower()
    assert told.invalid["line"] == line
    assert told.account.done
    assert told.exit == 0


# What only Python's compiler finds, not its parser. name, source, words, line
UNCOMPILABLE = [
    ("return_outside", "x = 1\nreturn x\n", "Line 2: 'return' outside function.", 2),
    ("await_outside", "import asyncio\nawait asyncio.sleep(0)\n", "call asyncio.run(main())", 2),
    ("break_outside", "break\n", "Line 1: 'break' outside loop.", 1),
    ("argument_twice", "def f(a, a):\n    pass\n", "Line 1: Duplicate argument 'a' in function definition.", 1),
    ("nonlocal_nowhere", "def f():\n    nonlocal x\n", "No binding for nonlocal 'x' found", 2),
    ("global_after_use", "def f():\n    x = 1\n    global x\n", "assigned to before global declaration", 3),
]


@pytest.mark.parametrize(
    ("source", "words", "line"), [case[1:] for case in UNCOMPILABLE], ids=[case[0] for case in UNCOMPILABLE]
)
def test_script_that_does_not_compile_is_invalid(runner: Runner, source: str, words: str, line: int) -> None:
    told = runner.run(source)

    assert told.invalid["type"] == "syntax"
    assert words in told.invalid["message"]
    assert told.invalid["line"] == line
    assert told.cells == []


def test_syntax_error_is_shown_as_python_shows_it(runner: Runner) -> None:
    told = runner.run("x = 1\nprint(x\ny = 2\n")

    assert (
        told.invalid["traceback"]
        == "  File \"main.py\", line 2\n    print(x\n         ^\nSyntaxError: '(' was never closed\n"
    )
    assert told.invalid["column"] == 6


def test_name_defined_twice_names_both_lines(runner: Runner) -> None:
    told = runner.notebook("x = 1", "x = 2", "print('independent')")

    first, second = told.cells[0]["line"], told.cells[1]["line"]
    assert told.invalid["type"] == "multiple-definitions"
    assert told.invalid["message"].startswith(
        f"`x` is defined in two cells (line {first} and line {second}). "
        "In a marimo notebook each name has one home: rename one of them"
    )
    assert told.invalid["line"] == first
    assert len(told.complaints) == 1


def test_cells_that_go_together_run_beside_those_that_do_not(runner: Runner) -> None:
    """As in marimo: the program is invalid, but one clash does not hide what the other cells give."""
    told = runner.notebook("x = 1", "x = 2", "print('independent')", "x + 1")

    assert told.statuses == ["error", "error", "ok", "error"]
    assert told.stdout == "independent\n"
    assert told.cells[0]["error"]["type"] == "multiple-definitions"
    assert told.cells[3]["error"]["type"] == "NameError"
    assert "expected to be defined in the cell at line" in told.cells[3]["error"]["message"]


def test_name_defined_in_three_cells(runner: Runner) -> None:
    told = runner.notebook("x = 1", "x = 2", "x = 3")

    assert "is defined in 3 cells (line 8, line 12 and line 16)" in told.invalid["message"]
    assert len(told.complaints) == 1


def test_cycle_tells_who_waits_for_whom(runner: Runner) -> None:
    told = runner.notebook("a = b", "b = a", "print('independent')")

    first, second = told.cells[0]["line"], told.cells[1]["line"]
    assert told.invalid["type"] == "cycle"
    assert "wait for each other" in told.invalid["message"]
    assert f"the cell at line {first} gives `a` to the cell at line {second}" in told.invalid["message"]
    assert f"the cell at line {second} gives `b` to the cell at line {first}" in told.invalid["message"]
    assert len(told.complaints) == 1
    assert told.statuses == ["error", "error", "ok"]


def test_import_star_in_a_notebook(runner: Runner) -> None:
    told = runner.notebook("from math import *", "print('independent')")

    assert told.invalid["type"] == "import-star"
    assert "Import the names you use" in told.invalid["message"]
    assert told.invalid["line"] == told.cells[0]["line"]
    assert told.statuses == ["error", "ok"]


def test_unparsable_cell_is_shown_with_the_line_of_the_file(runner: Runner) -> None:
    told = runner.run(
        f'{HEADER}\napp._unparsable_cell(\n    r"""\n    x = 1\n    y = = 2\n    """,\n    name="broken"\n)\n'
    )

    assert told.invalid["type"] == "unparsable"
    assert told.invalid["line"] == told.line("y = = 2")
    assert f"Line {told.line('y = = 2')}: Invalid syntax" in told.invalid["message"]
    assert told.named("broken")["status"] == "error"


def test_cell_that_does_not_compile_is_shown_with_the_line_of_the_file(runner: Runner) -> None:
    told = runner.notebook("x = 1", "@app.cell\ndef _(x):\n    y = 1\n    def g(a, a):\n        pass\n    return (y,)")

    assert told.invalid["type"] == "syntax"
    assert told.invalid["line"] == told.line("def g(a, a)")
    assert told.invalid["cell_id"] == told.cells[1]["id"]
    assert told.statuses == ["ok", "error"]


def test_setup_cell_that_needs_another(runner: Runner) -> None:
    told = runner.notebook("with app.setup:\n    y = x", "x = 1")

    assert told.invalid["type"] == "setup-refs"
    assert "cannot use `x`" in told.invalid["message"]


def test_several_problems_are_all_told_first_line_first(runner: Runner) -> None:
    told = runner.notebook("x = 1", "from math import *", "x = 2", "a = b", "b = a")

    assert [error["type"] for error in told.complaints] == [
        "multiple-definitions",
        "import-star",
        "cycle",
    ]


def test_large_literals_run(runner: Runner) -> None:
    numbers = ", ".join(str(n) for n in range(30_000))

    told = runner.run(f"data = [{numbers}]\ntext = {'x' * 50_000!r}\nprint(len(data), len(text))")

    assert told.stdout == "30000 50000\n"


def test_expression_nested_as_deep_as_python_takes_it_runs(runner: Runner) -> None:
    assert runner.run(f"print({DEEP})").stdout == "1\n"
