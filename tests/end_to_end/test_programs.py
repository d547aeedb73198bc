"""What a student gets back for each kind of program."""

import textwrap
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.py"


def notebook(*cells: str) -> str:
    """A marimo file with these cell bodies."""
    parts = ["import marimo\n\napp = marimo.App()\n"]
    parts += [f"@app.cell\ndef _():\n{textwrap.indent(textwrap.dedent(cell).strip(), '    ')}\n" for cell in cells]
    return "\n\n".join([*parts, 'if __name__ == "__main__":\n    app.run()\n'])


def mimetypes(submission):
    return [output["mimetype"] for cell in submission["cells"] for output in cell["outputs"]]


def test_plain_script_prints_and_is_measured(visitor):
    result = visitor.run("print(6 * 7)\n")

    assert result["status"] == "completed"
    assert result["stdout"] == "42\n"
    assert 0 <= result["run_time"] < 5000
    assert 0 <= result["memory_used"] < 256 * 1024
    assert len(result["cells"]) == 1


def test_every_phase_of_a_run_has_its_time(visitor):
    result = visitor.run("pass")

    phases = [result[name] for name in ("created_at", "published_at", "claimed_at", "started_at", "finished_at")]
    assert all(phases)
    assert result["created_at"] <= result["claimed_at"] <= result["started_at"] <= result["finished_at"]


def test_memory_of_a_big_list_is_seen(visitor):
    small = visitor.run("x = 1")["memory_used"]
    big = visitor.run("x = bytearray(60 * 1024 * 1024)")["memory_used"]

    assert 50 * 1024 < big - small < 90 * 1024


def test_example_notebook_of_the_readme_shows_table_and_plot(visitor):
    result = visitor.run(EXAMPLE.read_text())

    assert result["status"] == "completed"
    assert result["stdout"] == "wettest: Apr\n"
    assert "image/png" in mimetypes(result)
    assert "text/html" in mimetypes(result)
    assert len(result["cells"]) == 4
    assert len(result["graph"]["edges"]) == 4


def test_stdin_reaches_input(visitor):
    result = visitor.run("name = input('who? ')\nprint('hello', name)", stdin="Ada\n")

    assert result["status"] == "completed"
    assert result["stdout"].endswith("hello Ada\n")


def test_input_without_stdin_is_explained(visitor):
    result = visitor.run("name = input()")

    assert result["status"] == "runtime_error"
    assert result["error"]["type"] == "EOFError"
    assert "input" in result["error"]["message"]


def test_exception_names_the_line_in_the_students_file(visitor):
    result = visitor.run("total = 0\nfor n in [1, 2]:\n    total += n / 0\n")

    assert result["status"] == "runtime_error"
    assert (result["error"]["type"], result["error"]["line"]) == ("ZeroDivisionError", 3)


def test_syntax_error_names_its_line_and_nothing_runs(visitor):
    result = visitor.run("print('before')\nif True\n    pass\n")

    assert result["status"] == "compilation_error"
    assert result["error"]["line"] == 2
    assert result["stdout"] == ""


def test_name_defined_twice_is_explained(visitor):
    result = visitor.run(notebook("x = 1", "x = 2"))

    assert result["status"] == "compilation_error"
    assert "x" in result["error"]["message"]


def test_cycle_is_explained(visitor):
    result = visitor.run(notebook("a = b", "b = a"))

    assert result["status"] == "compilation_error"
    assert "wait for each other" in result["error"]["message"]


def test_notebook_without_cells_is_explained(visitor):
    result = visitor.run("import marimo\n\napp = marimo.App()\n\nif __name__ == '__main__':\n    app.run()\n")

    assert result["status"] == "compilation_error"
    assert "no cells" in result["error"]["message"]


def test_two_hundred_cells_run(visitor):
    result = visitor.run(notebook(*(f"v{n} = {n}" for n in range(199)), "print(v0 + v198)"))

    assert result["status"] == "completed"
    assert len(result["cells"]) == 200
    assert result["stdout"] == "198\n"


def test_top_level_await_runs(visitor):
    source = notebook("import asyncio\nx = await asyncio.sleep(0.01, 'awake')", "print(x)").replace(
        "def _():\n    import asyncio", "async def _():\n    import asyncio"
    )

    assert visitor.run(source)["stdout"] == "awake\n"


def test_independent_cells_run_although_one_fails(visitor):
    result = visitor.run(notebook("a = 1 / 0", "print(a)", "print('independent')"))

    assert result["status"] == "runtime_error"
    assert [cell["status"] for cell in result["cells"]] == ["error", "not_run", "ok"]
    assert result["stdout"] == "independent\n"


def test_matplotlib_in_a_plain_script_shows_its_figure(visitor):
    result = visitor.run("import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])\nfig\n")

    assert result["status"] == "completed"
    assert "image/png" in mimetypes(result)


@pytest.mark.parametrize(
    "source",
    [
        "from math import *\nprint(floor(pi))",
        "import sys\nprint(3)\nsys.exit(0)",
        "if __name__ == '__main__':\n    print(3)",
        "def main():\n    print(3)\nmain()",
        "import asyncio\nasync def main():\n    print(3)\nasyncio.run(main())",
        "_private = 3\nprint(_private)",
        "open('note.txt', 'w').write('3')\nprint(open('note.txt').read())",
    ],
)
def test_plain_python_behaves_as_python(visitor, source):
    result = visitor.run(source)

    assert (result["status"], result["stdout"]) == ("completed", "3\n")


def test_runs_do_not_see_each_other(visitor):
    visitor.run("open('left.txt', 'w').write('x')\nimport builtins\nbuiltins.left = 1\nimport json\njson.left = 1")
    result = visitor.run(
        "import os, builtins, json\nprint(os.path.exists('left.txt'), hasattr(builtins, 'left'), hasattr(json, 'left'))"
    )

    assert result["stdout"] == "False False False\n"


def test_runs_draw_different_random_numbers(visitor):
    source = "import random, numpy\nprint(random.random(), numpy.random.rand())"

    assert visitor.run(source)["stdout"] != visitor.run(source)["stdout"]
