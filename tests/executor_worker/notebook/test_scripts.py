"""A plain script behaves as under `python main.py`. The judge is Python itself: each program runs in both."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.executor_worker.notebook.conftest import Runner

PROGRAMS = Path(__file__).parent / "programs"
HELPER = {"helper.py": (PROGRAMS / "scripts" / "helper.py").read_text()}


def programs(folder: str) -> list[Path]:
    return [path for path in sorted((PROGRAMS / folder).glob("*.py")) if path.name != "helper.py"]


def given_input(program: Path) -> str:
    given = program.with_suffix(".in")
    return given.read_text() if given.exists() else ""


@pytest.mark.parametrize("program", programs("scripts"), ids=lambda path: path.stem)
def test_script_prints_what_python_prints(runner: Runner, notebook_python: Path, tmp_path: Path, program: Path) -> None:
    source, stdin = program.read_text(), given_input(program)
    for name, text in {"main.py": source, **HELPER}.items():
        (tmp_path / name).write_text(text)
    by_python = subprocess.run(
        [notebook_python, "-u", "main.py"],  # As on a terminal: what is printed first stands first.
        cwd=tmp_path,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    told = runner.run(source, stdin=stdin, files=HELPER)

    assert told.cell["status"] == "ok", told.cell
    assert told.stdout == by_python.stdout
    assert told.stderr == by_python.stderr
    assert told.account.done
    assert told.exit == 0


@pytest.mark.parametrize("program", programs("failing"), ids=lambda path: path.stem)
def test_failing_script_tells_type_words_and_line(runner: Runner, program: Path) -> None:
    """What it must tell stands in the program's last line."""
    expected = re.fullmatch(r"# (\w+), line (\d+): (.+)", program.read_text().splitlines()[-1])
    assert expected is not None

    told = runner.run(program.read_text(), stdin=given_input(program), files=HELPER)

    assert told.cell["status"] == "error"
    error = told.cell["error"]
    assert error["type"] == expected[1]
    assert error["line"] == int(expected[2])
    assert expected[3] in error["message"]
    assert told.account.done


def test_traceback_shows_the_students_frames_and_no_others(runner: Runner) -> None:
    told = runner.script(
        """
        import helper

        def middle():
            try:
                helper.fail()
            except ValueError as error:
                raise RuntimeError("wrapped") from error

        middle()
        """,
        files=HELPER,
    )

    assert told.cell["error"]["traceback"] == (
        "Traceback (most recent call last):\n"
        '  File "main.py", line 5, in middle\n'
        "    helper.fail()\n"
        '  File "helper.py", line 6, in fail\n'
        '    raise ValueError("from the helper")\n'
        "ValueError: from the helper\n"
        "\n"
        "The above exception was the direct cause of the following exception:\n"
        "\n"
        "Traceback (most recent call last):\n"
        '  File "main.py", line 9, in <module>\n'
        "    middle()\n"
        '  File "main.py", line 7, in middle\n'
        '    raise RuntimeError("wrapped") from error\n'
        "RuntimeError: wrapped\n"
    )


def test_last_expression_of_a_script_is_shown_as_in_a_cell(runner: Runner) -> None:
    told = runner.run("x = 20\nx + 1")

    assert told.cell["outputs"] == [{"mimetype": "text/html", "data": "<pre class='text-xs'>21</pre>"}]


def test_printed_traceback_names_the_students_file(runner: Runner) -> None:
    told = runner.script(
        """
        import traceback
        try:
            1 / 0
        except ZeroDivisionError:
            traceback.print_exc()
        """
    )

    assert told.stderr.startswith(
        'Traceback (most recent call last):\n  File "main.py", line 3, in <module>\n    1 / 0\n'
    )


def test_advice_of_python_on_the_source_is_shown(runner: Runner) -> None:
    told = runner.run("x = 5\nprint(x is 5)")

    assert told.stderr == 'main.py:2: SyntaxWarning: "is" with a literal. Did you mean "=="?\n'


def test_failing_thread_is_told_on_stderr_and_the_script_goes_on(runner: Runner) -> None:
    told = runner.script(
        """
        import threading
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        thread.join()
        print("on")
        """
    )

    assert told.cell["status"] == "ok"
    assert told.stdout == "on\n"
    assert "Exception in thread worker" in told.stderr
    assert "ZeroDivisionError" in told.stderr


def test_exit_words_are_printed_to_stderr_as_python_does(runner: Runner) -> None:
    told = runner.run("import sys\nsys.exit('no such file')")

    assert told.stderr == "no such file\n"
    assert told.cell["error"]["message"] == "no such file"


def test_hints_are_given_only_where_they_belong(runner: Runner) -> None:
    told = runner.run((PROGRAMS / "failing" / "file_through_asyncio.py").read_text())

    assert told.cell["error"]["message"] == "[Errno 2] No such file or directory: 'no such file'"


def test_two_runs_draw_different_random_numbers(runner: Runner) -> None:
    program = "import random, uuid\nimport numpy as np\nprint(random.random(), np.random.rand(), uuid.uuid4())"

    first, second = runner.run(program).stdout.split(), runner.run(program).stdout.split()

    assert all(one != other for one, other in zip(first, second, strict=True))


def test_nothing_of_ours_is_importable(runner: Runner) -> None:
    told = runner.script(
        """
        import importlib.util, sys
        print([name for name in sys.modules if "executor_worker" in name])
        print(importlib.util.find_spec("executor_worker"), [place for place in sys.path if "executor" in place])
        """
    )

    assert told.stdout == "[]\nNone []\n"


@pytest.mark.parametrize(
    "source", ["\ufeffprint('read')", "x = 1\r\nif x:\r\n    print('read')\r\n"], ids=["bom", "crlf"]
)
def test_files_of_other_editors_are_read(runner: Runner, source: str) -> None:
    assert runner.run(source).stdout == "read\n"
