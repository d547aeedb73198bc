"""What becomes of each cell of a marimo notebook: statuses, outputs, errors, the graph."""

from __future__ import annotations

import pytest

from tests.executor_worker.notebook.conftest import Runner


def test_cells_come_with_name_line_and_graph(runner: Runner) -> None:
    told = runner.notebook(
        """
        @app.cell
        def load():
            # The data.
            x = 1
            return (x,)
        """,
        "y = x + len([1])",
    )

    load, use = told.cells
    assert (load["name"], load["line"], load["code"]) == ("load", told.line("# The data."), "# The data.\nx = 1")
    assert (use["name"], use["line"], use["code"]) == ("_", told.line("y = x"), "y = x + len([1])")
    assert told.account.kind == "notebook"
    assert told.account.graph == {
        "edges": [[load["id"], use["id"]]],
        "defs": {load["id"]: ["x"], use["id"]: ["y"]},
        "refs": {load["id"]: [], use["id"]: ["x"]},
    }


def test_cells_run_in_the_order_of_their_names_not_of_the_file(runner: Runner) -> None:
    told = runner.notebook("print(x + 1)", "x = 1\nprint('first')")

    assert [frame["id"] for frame in told.frames if frame["type"] == "cell"] == [
        told.cells[1]["id"],
        told.cells[0]["id"],
    ]
    assert told.cells[0]["console"] == [{"channel": "stdout", "text": "2\n"}]


def test_failed_cell_takes_its_descendants_and_nobody_else(runner: Runner) -> None:
    told = runner.notebook(
        """
        @app.cell
        def load():
            data = [1]

            first = data[5]
            return (first,)
        """,
        "second = first + 1",
        "second",
        "print('independent')",
    )

    assert told.statuses == ["error", "not_run", "not_run", "ok"]
    load, second, third, independent = told.cells
    assert (load["error"]["type"], load["error"]["line"]) == ("IndexError", told.line("first = data"))
    assert load["error"]["message"] == "list index out of range"
    assert load["error"]["traceback"] == (
        "Traceback (most recent call last):\n"
        f'  File "notebook.py", line {told.line("first = data")}, in <module>\n'
        "    first = data[5]\n"
        "            ~~~~^^^\n"
        "IndexError: list index out of range\n"
    )
    assert f"the cell `load` at line {load['line']}, which failed with IndexError" in second["error"]["message"]
    assert f"the cell `load` at line {load['line']}" in third["error"]["message"]
    assert independent["console"] == [{"channel": "stdout", "text": "independent\n"}]


def test_error_in_a_function_of_another_cell_names_both_lines(runner: Runner) -> None:
    told = runner.notebook("def half(n):\n    return n / 0", "half(2)")

    error = told.cells[1]["error"]
    assert error["line"] == told.line("n / 0")
    assert f"line {told.line('half(2)')}, in <module>" in error["traceback"]
    assert f"line {told.line('n / 0')}, in half" in error["traceback"]


def test_top_level_await(runner: Runner) -> None:
    told = runner.notebook(
        "import asyncio",
        "got = await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))",
        "print(got)",
    )

    assert told.statuses == ["ok", "ok", "ok"]
    assert told.stdout == "[1, 2]\n"


def test_asyncio_run_in_a_notebook_tells_to_await(runner: Runner) -> None:
    told = runner.notebook("import asyncio\n\nasync def main():\n    return 1\n\nasyncio.run(main())")

    assert told.cells[0]["error"]["type"] == "RuntimeError"
    assert "write `await main()` instead" in told.cells[0]["error"]["message"]


def test_mo_stop_stops_the_cell_and_keeps_its_descendants_from_running(runner: Runner) -> None:
    told = runner.notebook("import marimo as mo", "mo.stop(True, mo.md('Press *run*'))\nx = 1", "x", "1")

    assert told.statuses == ["ok", "stopped", "not_run", "ok"]
    assert told.cells[1]["error"] is None
    assert "<em>run</em>" in told.cells[1]["outputs"][0]["data"]
    assert f"the cell at line {told.line('mo.stop')} stopped before it" in told.cells[2]["error"]["message"]


@pytest.mark.parametrize("leave", ["sys.exit()", "sys.exit(0)", "raise SystemExit"])
def test_clean_exit_ends_a_cell_without_failure(runner: Runner, leave: str) -> None:
    told = runner.notebook("import sys", f"{leave}\nx = 1", "x", "print('goes on')")

    assert told.statuses == ["ok", "stopped", "not_run", "ok"]


def test_exit_with_a_code_fails_its_cell_only(runner: Runner) -> None:
    told = runner.notebook("import sys\nsys.exit(3)", "print('goes on')")

    assert told.statuses == ["error", "ok"]
    assert told.cells[0]["error"]["message"] == "The program ended itself with exit code 3."


def test_disabled_cell_and_what_hangs_on_it(runner: Runner) -> None:
    told = runner.notebook("@app.cell(disabled=True)\ndef _():\n    x = 1\n    return (x,)", "x", "print('on')")

    assert told.statuses == ["disabled", "disabled", "ok"]


def test_missing_name_that_another_cell_should_have_given(runner: Runner) -> None:
    told = runner.notebook("_hidden = 1", "print(_hidden)", "print(missing)")

    assert told.statuses == ["ok", "error", "error"]
    assert "Names prefixed with an underscore are local to the cell" in told.cells[1]["error"]["message"]
    assert f"the cell at line {told.line('_hidden = 1')}" in told.cells[1]["error"]["message"]
    assert told.cells[1]["error"]["line"] == told.line("print(_hidden)")
    assert told.cells[2]["error"]["message"] == "name 'missing' is not defined"


def test_private_names_are_shown_as_they_were_written(runner: Runner) -> None:
    told = runner.notebook("_n = 0\n\ndef _f():\n    return 1 / _n\n\n_f()")

    error = told.cells[0]["error"]
    assert "_cell_" not in error["message"] + error["traceback"]
    assert f"line {told.line('return 1 / _n')}, in _f" in error["traceback"]


def test_two_hundred_cells(runner: Runner) -> None:
    chain = ["x0 = 0"] + [f"x{n} = x{n - 1} + 1" for n in range(1, 200)]

    told = runner.notebook(*chain[:-1], chain[-1] + "\nprint(x199)")

    assert set(told.statuses) == {"ok"}
    assert len(told.cells) == 200
    assert told.stdout == "199\n"


def test_setup_cell_and_reusable_functions_and_classes(runner: Runner) -> None:
    told = runner.notebook(
        "with app.setup:\n    import math",
        "@app.function\ndef area(r):\n    return math.pi * r**2",
        "@app.class_definition\nclass Box:\n    side = 3\n\n    def bad(self):\n        return 1 / 0",
        "print(round(area(1), 2), Box.side)",
        "Box().bad()",
    )

    assert told.statuses == ["ok", "ok", "ok", "ok", "error"]
    assert told.named("setup")["line"] == told.line("import math")
    assert told.named("area")["line"] == told.line("def area")
    assert told.stdout == "3.14 3\n"
    assert told.cells[4]["error"]["line"] == told.line("return 1 / 0")


def test_code_outside_the_cells_never_runs(runner: Runner) -> None:
    told = runner.run(
        "import marimo\nprint('header')\napp = marimo.App()\nprint('between')\n\n\n"
        "@app.cell\ndef _():\n    print('cell')\n    return\n\n\nprint('after')\n"
        "if __name__ == '__main__':\n    app.run()\n",
        filename="notebook.py",
    )

    assert told.stdout == "cell\n"
    assert told.account.done


def test_blank_lines_before_the_notebook_do_not_move_its_lines(runner: Runner) -> None:
    told = runner.run("\n\n\nimport marimo\napp = marimo.App()\n@app.cell\ndef _():\n    x = 1\n    1 / 0\n")

    assert told.cell["line"] == 8
    assert told.cell["error"]["line"] == 9


def test_cell_is_found_even_where_other_text_looks_like_it(runner: Runner) -> None:
    told = runner.run(
        "import marimo\napp = marimo.App()\nx = 1\n\n\n@app.cell\ndef _():\n    x = 1\n    return (x,)\n\n\n"
        "@app.cell\ndef _(): y = 2; return\n\n\n@app.cell\ndef _():\n\n    # a comment first\n    1 / 0\n"
    )

    assert [cell["line"] for cell in told.cells] == [8, 13, 18]  # A cell begins with its blank lines.
    assert told.cells[2]["error"]["line"] == 20


def test_cell_that_sets_state_runs_its_readers_again_and_is_told_once(runner: Runner) -> None:
    told = runner.notebook(
        "import marimo as mo\nget, set_ = mo.state(1)",
        "seen = get()\nprint('seen', seen)",
        "print('after', seen)",
        "set_(5)",
    )

    assert told.statuses == ["ok"] * 4
    assert told.cells[1]["console"] == [{"channel": "stdout", "text": "seen 5\n"}]
    assert told.cells[2]["console"] == [{"channel": "stdout", "text": "after 5\n"}]


def test_thread_of_a_cell_prints_into_it_even_late(runner: Runner) -> None:
    told = runner.notebook(
        "import threading, time\n\ndef late():\n    time.sleep(0.2)\n    print('late')\n\n"
        "threading.Thread(target=late).start()\nprint('early')"
    )

    assert told.stdout == "early\nlate\n"


def test_mo_thread_prints_into_the_run(runner: Runner) -> None:
    told = runner.notebook(
        "import marimo as mo",
        "thread = mo.Thread(target=lambda: print('from mo.Thread'))\nthread.start()\nthread.join()",
    )

    assert told.statuses == ["ok", "ok"]
    assert told.stdout == "from mo.Thread\n"


def test_cells_after_one_that_left_a_thread_are_told_as_they_end(runner: Runner) -> None:
    told = runner.notebook(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "print('told')",
        "x = 1\nwhile x:\n    pass",
        seconds=1,
    )

    assert told.cells[1]["status"] == "ok"


def test_interrupt_leaves_the_later_cells_out(runner: Runner) -> None:
    told = runner.notebook("raise KeyboardInterrupt", "print('never')")

    assert told.statuses == ["interrupted", "not_run"]
    assert "interrupted before it" in told.cells[1]["error"]["message"]
    assert told.account.done


def test_marimo_does_not_log_into_the_output(runner: Runner) -> None:
    told = runner.notebook("@app.cell(no_such_option=True)\ndef test_it():\n    assert True", "import no_such_module")

    assert told.stderr == ""


def test_markdown_notebook_runs_too(runner: Runner) -> None:
    cells = [f"```python {{.marimo}}\n{code}\n```\n" for code in ("import marimo as mo", "1 / 0")]
    source = "---\ntitle: T\nmarimo-version: 0.25.2\n---\n\n# Prose\n\n" + "\n".join(cells)

    told = runner.run(source, filename="notebook.py")

    assert told.statuses[-2:] == ["ok", "error"]
    assert told.cells[-1]["line"] == told.cells[-1]["error"]["line"] == told.line("1 / 0")
    assert any("Prose" in output["data"] for cell in told.cells for output in cell["outputs"])
