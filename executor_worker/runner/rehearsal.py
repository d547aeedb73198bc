"""Programs the zygote runs before a student's does: they load what a run needs, and prove the contract.

Their frames are compared with what is known to be right, so that a marimo which merely imports, but
behaves otherwise, is found out before it judges anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from executor_worker.runner import contract

HELLO = 'print("hello")\n'

SMALL_NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    return (mo,)


@app.cell
def _(mo):
    x = 2
    mo.md(f"# {x}")
    return (x,)


@app.cell
def _(x):
    print("x is", x)
    y = x * 3
    y
    return (y,)


if __name__ == "__main__":
    app.run()
"""

MISTAKE = """
def half(numbers):
    return numbers[0] / len(numbers[1:])

half([1])
"""

SMALL = (HELLO, SMALL_NOTEBOOK, MISTAKE)

FULL_NOTEBOOK = """
import marimo

app = marimo.App()

with app.setup:
    import asyncio


@app.cell
def first():
    import marimo as mo
    numbers = mo.ui.slider(1, 9, value=3)
    numbers
    return mo, numbers


@app.cell
def waits(numbers):
    await asyncio.sleep(0)
    print("waited", numbers.value)
    return


@app.cell
def fails(numbers):
    half = numbers.value / 0
    return (half,)


@app.cell
def needs_it(half):
    half
    return


@app.cell
def stops(mo):
    mo.stop(True, mo.md("enough"))
    rest = 1
    return (rest,)


@app.cell
def after_it(rest):
    rest
    return


@app.cell(disabled=True)
def is_off():
    off = 1
    return (off,)


@app.cell
def hidden(numbers):
    _private = numbers.value
    _missing
    return


@app.cell
def twice():
    double = 1
    return (double,)


@app.cell
def twice_too():
    double = 2
    return (double,)


@app.cell
def draws(mo):
    mo.output.append(mo.md("one"))
    mo.output.append({"two": [2]})
    return
"""

EXPECTED = {
    "setup": ("ok", None),
    "first": ("ok", None),
    "waits": ("ok", None),
    "fails": ("error", "ZeroDivisionError"),
    "needs_it": ("not_run", "not-run"),
    "stops": ("stopped", None),
    "after_it": ("not_run", "not-run"),
    "is_off": ("disabled", None),
    "hidden": ("error", "NameError"),
    "twice": ("error", "multiple-definitions"),
    "twice_too": ("error", "multiple-definitions"),
    "draws": ("ok", None),
}

# By package: a cell that loads it, and the kind of output it must give.
LIBRARIES = {
    "numpy": ("import numpy\n    numpy.arange(3)", "text/html"),
    "pandas": ('import pandas\n    pandas.DataFrame({"a": [1, 2]})', "text/html"),
    "matplotlib": ("import matplotlib.pyplot\n    matplotlib.pyplot.plot([1, 2])", "image/png"),
    "altair": (
        'import altair\n    altair.Chart(altair.Data(values=[{"a": 1}])).mark_bar().encode(x="a:Q")',
        "application/vnd.vegalite",
    ),
}


def check(rehearse: Callable[[str], list[dict[str, Any]]]) -> None:
    """Run them all. Raises contract.ContractBroken, naming the cell that came out otherwise."""
    for source in (HELLO, SMALL_NOTEBOOK):
        _check_statuses(rehearse(source), "ok")
    _check_statuses(rehearse(MISTAKE), "error")
    frames = rehearse(FULL_NOTEBOOK)
    names = _names(frames)
    came_out = {names[each["id"]]: (each["status"], each["error"] and each["error"]["type"]) for each in _cells(frames)}
    for name, expected in EXPECTED.items():
        if came_out.get(name) != expected:
            raise contract.broken(f"a cell that `{name}` came out as {came_out.get(name)}, not as {expected}")
    for library, (code, mimetype) in LIBRARIES.items():
        if find_spec(library) is not None:
            _check_library(
                library, rehearse(f"import marimo\napp = marimo.App()\n@app.cell\ndef _():\n    {code}\n"), mimetype
            )


def _check_statuses(frames: list[dict[str, Any]], status: str) -> None:
    if not (told := _cells(frames)) or any(each["status"] != status for each in told):
        raise contract.broken(f"a small program came out as {[each['status'] for each in told]}")


def _check_library(library: str, frames: list[dict[str, Any]], mimetype: str) -> None:
    _check_statuses(frames, "ok")
    shown = [output["mimetype"] for each in _cells(frames) for output in each["outputs"]]
    if not any(kind.startswith(mimetype) for kind in shown):
        raise contract.broken(f"a cell of {library} showed {shown}, not {mimetype}")


def _cells(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["type"] == "cell"]


def _names(frames: list[dict[str, Any]]) -> dict[str, str]:
    return {cell["id"]: cell["name"] for frame in frames if frame["type"] == "notebook" for cell in frame["cells"]}
