"""Python: a plain script, or a marimo notebook in its own file format."""

from __future__ import annotations

import re

from executor_worker.languages.language import Language

# What marimo itself writes at the top of a notebook. Only names the file: the runner decides by parsing it.
_MAKES_AN_APP = re.compile(r"^\w+\s*=\s*(?:\w+\.)?App\(", re.MULTILINE)

TEMPLATE = """\
import marimo

app = marimo.App()


@app.cell
def _():
    name = "world"
    return (name,)


@app.cell
def _(name):
    print(f"Hello, {name}!")
    return


if __name__ == "__main__":
    app.run()
"""


def filename(source: str) -> str:
    """notebook.py for a marimo notebook, main.py for any other program."""
    is_notebook = "marimo" in source and _MAKES_AN_APP.search(source)
    return "notebook.py" if is_notebook else "main.py"


LANGUAGE = Language(id="python", label="Python", template=TEMPLATE, filename=filename)
