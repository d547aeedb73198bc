"""The words the runner's files share: a program, its cells, and how a cell ended.

Plain data. Neither marimo nor the claims channel is known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from executor_worker.runner.script import ScriptCode

Kind = Literal["notebook", "script"]
How = Literal["ok", "error", "stopped", "interrupted"]


@dataclass(frozen=True)
class Cell:
    """One cell, and where its code stands in the file the student sent."""

    id: str
    name: str
    code: str
    line: int = 1  # Of its first line of code, counted from 1.
    indent: int = 0  # How far the file indents that code; tracebacks underline by it.
    options: dict[str, Any] = field(default_factory=dict)
    unparsable: bool = False  # marimo saved it as text, because it was not Python.


@dataclass(frozen=True)
class Program:
    """A submission as marimo will run it. A plain script is a notebook of one cell."""

    kind: Kind
    filename: str  # As the student knows it.
    source: str
    cells: tuple[Cell, ...]
    app_options: dict[str, Any] = field(default_factory=dict)
    script: ScriptCode | None = None  # A script's only cell, compiled.
    advice: str = ""  # What Python warned of when it read the script.

    def cell(self, cell_id: str) -> Cell:
        return next(cell for cell in self.cells if cell.id == cell_id)


@dataclass(frozen=True)
class Problem:
    """Why a cell cannot take part in a run, before anything ran. complaints.py puts it into words."""

    kind: Literal["syntax", "import-star", "multiple-definitions", "cycle", "setup-refs", "unparsable", "other"]
    cell_id: str
    name: str | None = None  # The name that is defined twice.
    others: tuple[str, ...] = ()  # The other cells concerned.
    links: tuple[tuple[str, tuple[str, ...], str], ...] = ()  # A cycle: cell, names it hands on, cell.
    error: BaseException | None = None


@dataclass(frozen=True)
class Ending:
    """How a cell's code ended."""

    how: How
    error: BaseException | None = None
    words: str | None = None  # marimo's own explanation, where it knows more than the exception says.
    blamed: str | None = None  # The cell that explanation points at.
    may_change: bool = False  # It may run again, or a thread of it may still print.


class Listener(Protocol):
    """Who hears how the run goes. All of it happens in the thread that runs the cells."""

    def cell_starts(self, cell_id: str) -> None: ...
    def cell_ran(self, cell_id: str) -> None:
        """Its code is over; showing what it gave comes next, on marimo's time."""

    def cell_shows(self, cell_id: str, mimetype: str, data: Any) -> None:
        """This is its output now; it takes the place of what it showed before."""

    def cell_draws(self, cell_id: str, mimetype: str, data: Any) -> None:
        """One more picture, beside its output."""

    def cell_prints(self, cell_id: str, channel: str, text: str) -> None: ...
    def cell_cannot_show(self, cell_id: str, error: BaseException | None, text: str) -> None: ...
    def cell_ends(self, cell_id: str, ending: Ending) -> None: ...
    def cells_left_out(self, cell_ids: set[str], because_of: str) -> None:
        """They hang on a cell that failed or stopped, so they will not run."""
