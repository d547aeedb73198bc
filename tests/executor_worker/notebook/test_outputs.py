"""What cells show and print: kinds of output, channels in order, and how much is kept."""

from __future__ import annotations

import base64
import json

import pytest

from tests.executor_worker.notebook.conftest import Runner, Told


def shown(told: Told, place: int = -1) -> tuple[str, str]:
    (output,) = told.cells[place]["outputs"]
    return output["mimetype"], output["data"]


MO = "import marimo as mo"
REPLACE = "mo.output.replace(mo.md('one'))\nmo.output.replace(mo.md('two'))"
CHART = "alt.Chart(alt.Data(values=[{'a': 1}])).mark_bar().encode(x='a:Q')"

# name, cells, mimetype, part of the data
SHOWS: list[tuple[str, list[str], str | None, str]] = [
    ("number", ["6 * 7"], "text/html", "<pre class='text-xs'>42</pre>"),
    ("text", ["'<b>'"], "text/html", "&lt;b&gt;"),
    ("markdown", [MO, "mo.md('# Title')"], "text/markdown", "Title</h1>"),
    ("slider", [MO, "mo.ui.slider(1, 9, value=3)"], "text/html", "data-initial-value='3'"),
    ("list", ["[1, 'two']"], "application/json", "two"),
    ("pandas", ["import pandas as pd", "pd.DataFrame({'name': ['Ann'], 'n': [3]})"], "text/html", "<td>Ann</td>"),
    ("numpy", ["import numpy as np", "np.arange(3)"], "text/html", "array([0, 1, 2])"),
    ("altair", ["import altair as alt", CHART], "application/vnd.vegalite.v6+json", '"mark"'),
    ("html", [MO, "mo.Html('<b>bold</b>')"], "text/html", "<b>bold</b>"),
    ("replaced", [MO, REPLACE], "text/markdown", "two"),
    ("semicolon", ["42;"], None, ""),
    ("nothing", ["x = 42"], None, ""),
]


@pytest.mark.parametrize(("cells", "mimetype", "part"), [case[1:] for case in SHOWS], ids=[case[0] for case in SHOWS])
def test_value_of_a_cell_is_shown(runner: Runner, cells: list[str], mimetype: str | None, part: str) -> None:
    told = runner.notebook(*cells)

    assert set(told.statuses) == {"ok"}
    if mimetype is None:
        assert told.cells[-1]["outputs"] == []
    else:
        kind, data = shown(told)
        assert kind == mimetype
        assert part in data


@pytest.mark.parametrize(
    "draw", ["plt.plot([1, 2])", "plt.plot([1, 2])\nplt.show()", "fig, ax = plt.subplots()\nax.bar([1], [2])\nfig"]
)
def test_plot_is_a_png(runner: Runner, draw: str) -> None:
    told = runner.notebook("import matplotlib.pyplot as plt", draw)

    mimetype, data = shown(told)
    assert mimetype == "image/png"
    assert base64.b64decode(data.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


def test_script_that_shows_two_figures_shows_both(runner: Runner) -> None:
    told = runner.script(
        """
        import matplotlib.pyplot as plt
        for n in range(2):
            plt.figure()
            plt.plot([n, 1])
            plt.show()
        print("drawn")
        """
    )

    assert [output["mimetype"] for output in told.cell["outputs"]] == ["image/png", "image/png"]
    assert told.stdout == "drawn\n"


def test_print_order_is_kept_across_channels_and_below_python(runner: Runner) -> None:
    told = runner.notebook(
        "import os, sys",
        """
        print('1 py')
        os.write(1, b'2 fd\\n')
        print('3 err', file=sys.stderr)
        os.write(2, b'4 fd err\\n')
        print('5 py')
        """,
    )

    assert told.cells[1]["console"] == [
        {"channel": "stdout", "text": "1 py\n2 fd\n"},
        {"channel": "stderr", "text": "3 err\n4 fd err\n"},
        {"channel": "stdout", "text": "5 py\n"},
    ]


def test_value_that_cannot_be_shown_is_told_and_the_cell_is_ok(runner: Runner) -> None:
    told = runner.notebook(
        "class Shy:\n    def __repr__(self):\n        raise ValueError('no')\n\nShy()", "print('on')"
    )

    assert told.statuses == ["ok", "ok"]
    assert told.cells[0]["outputs"] == []
    assert "could not be shown" in told.stderr
    assert "ValueError: no" in told.stderr


def test_repr_that_exits_does_not_end_the_run(runner: Runner) -> None:
    told = runner.notebook("class Rude:\n    def __repr__(self):\n        raise SystemExit\n\nRude()", "print('on')")

    assert told.statuses == ["ok", "ok"]
    assert told.stdout == "on\n"
    assert told.account.done


def test_output_that_is_too_large_is_replaced_by_a_word_about_it(runner: Runner) -> None:
    told = runner.notebook("'x' * 3_000_000")

    mimetype, data = shown(told)
    assert mimetype == "text/plain"
    assert "too large to show: 2.9 MB" in data


def test_outputs_of_a_run_are_bounded_together(runner: Runner) -> None:
    told = runner.notebook(*(f"'{n}' * 900_000" for n in range(9)))

    assert set(told.statuses) == {"ok"}
    sizes = [len(cell["outputs"][0]["data"]) for cell in told.cells]
    assert sizes[0] > 900_000
    assert sizes[-1] < 200
    assert len(json.dumps(told.frames)) < 8 << 20


def test_output_that_is_replaced_often_does_not_use_up_the_budget(runner: Runner) -> None:
    told = runner.notebook(
        "import marimo as mo",
        "for n in range(40):\n    mo.output.replace(mo.Html(f'<p>{n}' + 'x' * 500_000))",
        "'later'",
    )

    assert shown(told, 1)[1].startswith("<p>39")
    assert "later" in shown(told, 2)[1]


@pytest.mark.parametrize(
    "flood",
    [
        "while True:\n    print('x' * 1000)",
        "import os\nwhile True:\n    os.write(1, b'x' * 1000)",
        "import sys\nwhile True:\n    sys.stderr.write('é')",
        "import sys\nwhile True:\n    sys.stdout.buffer.write(b'y' * 999)",
    ],
    ids=["print", "descriptor", "characters", "buffer"],
)
def test_flood_is_cut_a_little_beyond_the_limit(runner: Runner, flood: str) -> None:
    """The worker counts too, and ends the run; here nobody does, so the test's deadline does or the small box."""
    told = runner.script(flood, seconds=1, output_bytes=10_000)

    assert 10_000 < told.printed_bytes <= 10_000 + 1024
    assert len(json.dumps(told.frames)) < 100_000


def test_what_was_printed_before_a_kill_is_known(runner: Runner) -> None:
    told = runner.script("import os\nprint('before')\nos.write(1, b'below')\nwhile True:\n    pass", seconds=1)

    assert not told.in_time
    assert "".join(piece["text"] for pieces in told.account.console.values() for piece in pieces) == "before\nbelow"


def test_cells_that_ended_before_a_kill_are_known(runner: Runner) -> None:
    told = runner.notebook("print('one')", "x = 1\nwhile x:\n    pass", "print('three')", seconds=1)

    assert told.cells[0]["status"] == "ok"
    assert "status" not in told.cells[1]


def test_lone_surrogates_and_nul_travel(runner: Runner) -> None:
    told = runner.notebook("print('a\\ud800b\\0c')", "'\\udcff'", "raise ValueError('\\ud800')")

    assert told.cells[0]["console"][0]["text"].replace("\0", "") == "a\\ud800bc\n"
    assert told.statuses == ["ok", "ok", "error"]
    assert told.cells[2]["error"]["message"] == "\\ud800"


def test_print_after_the_end_is_dropped(runner: Runner) -> None:
    told = runner.notebook(
        "import threading, time\n\ndef chatter():\n    while True:\n        print('x')\n        time.sleep(0.01)\n\n"
        "threading.Thread(target=chatter, daemon=True).start()"
    )

    assert told.statuses == ["ok"]
    assert told.account.done
    assert told.frames[-1] == {"type": "done"}
