"""Programs that mistreat their own process. The sandbox keeps them in; here, what we tell must stay sane."""

from __future__ import annotations

import pytest

from tests.executor_worker.notebook.conftest import Runner

STILL_TOLD = [
    ("closes_standard_descriptors", "import os\nprint('a')\nfor n in range(3):\n    os.close(n)\nprint('b')", "a\nb\n"),
    ("replaces_stdout_with_none", "import sys\nprint('a')\nsys.stdout = None", "a\n"),
    ("replaces_stdout_with_rubbish", "import sys\nprint('a')\nsys.stdout = 3", "a\n"),
    ("closes_stdout", "import sys\nprint('a')\nsys.stdout.close()\nprint('b')", "a\nb\n"),
    ("redirects_descriptor_one", "import os\nos.dup2(os.open('f', os.O_WRONLY | os.O_CREAT), 1)\nprint('a')", "a\n"),
    ("deletes_its_file", "import os\nos.remove('main.py')\nprint('a')", "a\n"),
    ("changes_directory", "import os, tempfile\nos.chdir(tempfile.mkdtemp())\nprint('a')", "a\n"),
    ("patches_json", "import json\njson.dumps = None\njson.encoder = None\nprint('a')", "a\n"),
    ("patches_print", "import builtins\nold = print\nbuiltins.print = lambda a: old('new', a)\nprint('a')", "new a\n"),
    ("collects_everything", "import gc\ngc.unfreeze()\ngc.collect()\nprint('a')", "a\n"),
    ("prints_a_str_subclass", "class S(str):\n    def __len__(self):\n        return 10**9\nprint(S('a'))", "a\n"),
    ("sets_a_trace", "import sys\nsys.settrace(lambda *a: None)\nprint('a')", "a\n"),
    ("asks_for_huge_recursion", "import sys\nsys.setrecursionlimit(10**6)\nprint('a')", "a\n"),
    ("leaves_no_recursion", "import sys\nprint('a')\nsys.setrecursionlimit(60)", "a\n"),
    ("names_not_text", "globals()[1] = 2\nprint('a')", "a\n"),
    ("deletes_builtins", "import builtins\ndel builtins.input\nprint('a')", "a\n"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "prints"), [case[1:] for case in STILL_TOLD], ids=[case[0] for case in STILL_TOLD])
def test_odd_program_is_told_like_any_other(runner: Runner, source: str, prints: str) -> None:
    told = runner.run(source)

    assert told.cell["status"] == "ok", told.cell
    assert told.stdout == prints
    assert told.account.done


LEAVES = [
    ("os_exit", "import os\nos._exit(0)", 0),
    ("os_exit_with_code", "import os\nos._exit(7)", 7),
    ("kills_itself", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -9),
    ("crashes", "import ctypes\nctypes.string_at(0)", -11),
    ("empties_sys_modules", "import sys\nsys.modules.clear()", 1),
    ("closes_every_descriptor", "import os\nos.closerange(0, 64)\nprint('a')", 1),
]


@pytest.mark.parametrize(("source", "code"), [case[1:] for case in LEAVES], ids=[case[0] for case in LEAVES])
def test_program_that_ends_its_process_is_not_done(runner: Runner, source: str, code: int) -> None:
    told = runner.run(f"x = 1\n{source}")

    assert not told.account.done
    assert told.exit == code
    assert told.account.kind == "script"


def test_long_error_text_is_cut(runner: Runner) -> None:
    told = runner.run("raise ValueError('x' * 50_000_000)")

    error = told.cell["error"]
    assert len(error["message"]) < 11_000
    assert len(error["traceback"]) < 21_000
    assert "characters left out" in error["message"]


CONFUSING = {
    "metaclass": """
        class Meta(type):
            __name__ = property(lambda self: 1 / 0)
        class Odd(Exception, metaclass=Meta):
            pass
        raise Odd("x")
    """,
    "getattribute": """
        class Odd(Exception):
            def __getattribute__(self, name):
                raise KeyError(name)
        raise Odd("x")
    """,
    "traceback": """
        class Odd(Exception):
            @property
            def __traceback__(self):
                raise KeyError
        raise Odd("x")
    """,
    "own_context": """
        error = ValueError("x")
        error.__context__ = error
        raise error
    """,
    "long_chain": """
        def f(n):
            try:
                raise ValueError(n)
            except ValueError:
                f(n + 1) if n < 200 else 1 / 0
        f(0)
    """,
    "groups": "raise ExceptionGroup('g', [ExceptionGroup('h', [ValueError(n)]) for n in range(50)])",
}


@pytest.mark.parametrize("source", CONFUSING.values(), ids=CONFUSING)
def test_error_made_to_confuse_is_told_as_an_error(runner: Runner, source: str) -> None:
    told = runner.notebook(source, "print('independent')")

    assert told.statuses == ["error", "ok"]
    assert told.cells[0]["error"]["type"]
    assert told.stdout == "independent\n"
    assert told.account.done


OUT_OF_MEMORY = {
    "hoards": "print('before')\nhoard = []\nwhile True:\n    hoard.append(bytearray(1_000_000))",
    "hoards_little_things": "print('before')\nhoard = []\nwhile True:\n    hoard.append(object())",
    "asks_for_too_much": "print('before')\nbytearray(10**10)",
    "recurses": "import sys\nsys.setrecursionlimit(10**9)\nprint('before')\ndef f():\n    return f()\nf()",
}


@pytest.mark.parametrize("source", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
def test_program_without_memory_left_is_told_as_such(runner: Runner, source: str) -> None:
    told = runner.run(source)

    assert told.cell["status"] == "error"
    assert told.cell["error"]["type"] in ("MemoryError", "SystemError")  # The latter is Python's own slip, deep down.
    assert told.cell["error"]["line"] >= 2
    assert told.stdout == "before\n"
    assert told.account.done


def test_alarm_that_rings_late_does_not_break_what_is_told(runner: Runner) -> None:
    told = runner.notebook(
        "import signal\n\ndef ring(*_):\n    raise TimeoutError\n\nsignal.signal(signal.SIGALRM, ring)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.02, 0.005)",
        *("'x' * 200_000" for _ in range(5)),
    )

    assert told.account.kind == "notebook"  # Whatever the alarm hit, no frame was torn: the reader took them all.


def test_alarm_that_prints_all_the_time_blocks_nothing(runner: Runner) -> None:
    told = runner.script(
        """
        import signal, sys, time

        def ring(number, frame):
            rung.append(number)
            print("tick", file=sys.stderr)

        rung = []
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        deadline = time.monotonic() + 0.7
        while time.monotonic() < deadline:
            print(".", end="", file=sys.stderr)
            time.sleep(0.0002)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(len(rung) > 5)
        """
    )

    assert told.stdout == "True\n"
    assert told.account.done
